//! Chat templates: the model's own Jinja, rendered by minijinja as transformers renders it.
//!
//! [`shape`] takes a template apart into literals and contents for one sequence of roles, so that
//! most records need no rendering; what it says is compared with the full render here.

pub mod shape;

use std::collections::BTreeMap;

use memchr::memmem::Finder;
use minijinja::{Environment, Error as JinjaError, ErrorKind, Value, context};

pub use shape::{Shape, Span, Trim};

use crate::{Error, Result};

/// One turn as a template sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// `system`, `user`, `assistant`, …
    pub role: &'a str,
    /// What was said.
    pub content: &'a str,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct Template {
    env: Environment<'static>,
    variables: Value,
    watched: Vec<Finder<'static>>,
}

const NAME: &str = "chat";

impl Template {
    /// Compiles a template.
    ///
    /// `variables`: what it may name beside `messages`, such as `bos_token`.
    ///
    /// # Errors
    /// [`Error::Data`] where it is not Jinja that minijinja reads.
    pub fn new(source: &str, variables: BTreeMap<String, String>) -> Result<Self> {
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", raise);
        env.add_function("strftime_now", no_clock);
        env.add_filter("trim", |text: String| python_trim(&text).to_owned());
        env.add_template_owned(NAME, without_generation(source)).map_err(|error| {
            Error::Data(format!("chat template: expected Jinja, got: {}", message(&error)))
        })?;
        let variables = Value::from_serialize(&variables);
        let watched = watched_texts(source);
        let watched = watched.iter().map(|text| Finder::new(text).into_owned()).collect();
        Ok(Self { env, variables, watched })
    }

    /// Renders a chat; `prompts` asks for the opening of the assistant's turn at the end.
    ///
    /// # Errors
    /// What the template raised, as one line.
    pub fn render(&self, turns: &[Said<'_>], prompts: bool) -> std::result::Result<String, String> {
        let messages: Vec<Value> = turns
            .iter()
            .map(|turn| context! { role => turn.role, content => turn.content })
            .collect();
        let template = self.env.get_template(NAME).map_err(|error| message(&error))?;
        let own = context! {
            messages => messages,
            add_generation_prompt => prompts,
            tools => Value::from(()),
            documents => Value::from(()),
            ..self.variables.clone()
        };
        template.render(own).map_err(|error| message(&error))
    }

    /// Whether the template may treat this content in a way of its own, because it holds a text
    /// that the template looks for.
    pub fn looks_for(&self, content: &str) -> bool {
        self.watched.iter().any(|text| text.find(content.as_bytes()).is_some())
    }
}

fn raise(text: String) -> std::result::Result<Value, JinjaError> {
    Err(JinjaError::new(ErrorKind::InvalidOperation, text))
}

/// A date in a training set would make its bytes depend on the day.
fn no_clock(_: String) -> std::result::Result<Value, JinjaError> {
    let text = "the template asks for today's date; set `date_string` in a template of your own";
    Err(JinjaError::new(ErrorKind::InvalidOperation, text))
}

fn message(error: &JinjaError) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{detail} (line {line} of the template)"),
        None => detail,
    }
}

/// `{% generation %}` is an extension of transformers that marks what is trained on; our mask
/// follows TRL's rule instead, so the marks become blocks that always hold.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let end = rest[at..].find("%}").map_or(rest.len(), |end| at + end + 2);
        let (before, block) = (&rest[..at], &rest[at..end]);
        out.push_str(before);
        let name = block.trim_matches(|c: char| "{}%-+".contains(c) || c.is_whitespace());
        match name {
            "generation" => out.push_str(&block.replace("generation", "if true")),
            "endgeneration" => out.push_str(&block.replace("endgeneration", "endif")),
            _ => out.push_str(block),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Texts of the template that it may look for in a content: its string constants that are no
/// plain words, inside blocks that compare, search, split or replace.
fn watched_texts(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, quote) in source.char_indices().filter(|(_, c)| matches!(c, '\'' | '"')) {
        let inside = &source[at + 1..];
        let Some(end) = inside.find(quote) else { continue };
        let (text, after) = (&inside[..end], inside[end + 1..].trim_start());
        let before = source[..at].trim_end();
        let called = ["startswith(", "endswith(", "split(", "replace(", "find(", "index(", "("];
        let is_searched = after.starts_with("in ")
            || called[..6].iter().any(|call| before.ends_with(call))
            || (before.ends_with(',') && source[..at].rfind("replace(").is_some());
        if is_searched && !text.is_empty() && !text.contains("{%") {
            found.push(text.replace("\\n", "\n").replace("\\t", "\t"));
        }
    }
    found.retain(|text| text.chars().any(|c| !c.is_whitespace()));
    found.sort();
    found.dedup();
    found
}

/// What Python's `str.strip` takes for white space.
pub fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// `str.strip` of Python.
pub fn python_trim(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' \
        + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant\n' }}{% endif %}";

    #[test]
    fn renders_turns_and_the_opening() -> Result<()> {
        let template = Template::new(CHATML, BTreeMap::new())?;
        let turns = [Said { role: "user", content: "1 + 1?" }];
        let text = template.render(&turns, true);
        assert_eq!(
            text.as_deref(),
            Ok("<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n")
        );
        Ok(())
    }

    #[test]
    fn says_what_a_template_raises() -> Result<()> {
        let template = Template::new("{{ raise_exception('roles!') }}", BTreeMap::new())?;
        let raised = template.render(&[], false);
        assert!(raised.is_err_and(|text| text.starts_with("roles!")));
        Ok(())
    }

    #[test]
    fn leaves_out_marks_of_generation() {
        let source = "a{%- generation -%}b{% endgeneration %}c";
        assert_eq!(without_generation(source), "a{%- if true -%}b{% endif %}c");
    }

    #[test]
    fn finds_what_a_template_looks_for() {
        let source = "{% if '</think>' in content %}{% set a = content.split('<think>') %}";
        assert_eq!(watched_texts(source), ["</think>", "<think>"]);
    }

    #[test]
    fn trims_as_python_does() {
        assert_eq!(python_trim("\x1c\u{a0} a b\u{85}\n"), "a b");
    }
}
