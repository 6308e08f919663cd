//! Conversations: turns with a role and a content, and what is prompt and completion in them.

use std::borrow::Cow;

use crate::pool::json::{Escapes, Kind, Scanner, Value, unescape};
use crate::pool::reject::Reject;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// `system`, `user`, `assistant`, `tool`, or a name that is none of their synonyms.
    pub role: Cow<'a, str>,
    /// What was said.
    pub content: Cow<'a, str>,
}

impl<'a> Turn<'a> {
    /// A turn whose role is brought to its usual name.
    pub fn new(role: Cow<'a, str>, content: impl Into<Cow<'a, str>>) -> Self {
        Self { role: usual_role(role), content: content.into() }
    }
}

/// The usual name of a role: ShareGPT's `human` and `gpt` and their like are `user` and
/// `assistant`; a name that is not known stays.
pub fn usual_role(role: Cow<'_, str>) -> Cow<'_, str> {
    let usual = match role.as_ref() {
        "user" | "human" | "User" | "Human" | "prompter" => "user",
        "assistant" | "gpt" | "Assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot"
        | "chatbot" | "ai" => "assistant",
        "system" | "System" | "developer" => "system",
        "tool" | "function" | "observation" | "function_response" | "tool_response" => "tool",
        _ => return role,
    };
    Cow::Borrowed(usual)
}

/// What is prompt and completion in a conversation: **the** rule of lmmixup.
///
/// The completion is the content of the last assistant turn; the prompt joins the contents of
/// the turns before it that are not system turns, with newlines. `None` without an assistant
/// turn.
pub fn prompt_completion<'t>(turns: &'t [Turn<'_>]) -> Option<(Cow<'t, str>, &'t str)> {
    let last = turns.iter().rposition(|turn| turn.role == "assistant")?;
    let mut asked = turns[..last].iter().filter(|turn| turn.role != "system");
    let mut prompt = asked.next().map_or(Cow::Borrowed(""), |turn| Cow::Borrowed(&*turn.content));
    for turn in asked {
        let prompt = prompt.to_mut();
        prompt.push('\n');
        prompt.push_str(&turn.content);
    }
    Some((prompt, &turns[last].content))
}

/// Reads `[{"role", "content"}, …]` or `[{"from", "value"}, …]` from JSON text into `turns`.
///
/// A null content is an empty one; a list of `{"type": "text", "text"}` parts is joined with
/// newlines.
///
/// # Errors
/// A [`Reject`] without line and raw text.
pub fn read_turns<'a>(text: &'a str, turns: &mut Vec<Turn<'a>>) -> Result<(), Reject> {
    let mut elements = Vec::new();
    let mut scanner = Scanner::new(text);
    scanner
        .array(|element| elements.push(element))
        .and_then(|()| scanner.end())
        .map_err(|fault| Reject::from_fault(&fault, text.as_bytes()))?;
    for (number, element) in elements.iter().enumerate() {
        turns.push(read_turn(element, number + 1)?);
    }
    Ok(())
}

fn read_turn<'a>(element: &Value<'a>, number: usize) -> Result<Turn<'a>, Reject> {
    let (mut role, mut content) = (None, None);
    if element.kind == Kind::Object {
        let fields = Scanner::new(element.text).object(|name, _, value| match name {
            "role" | "from" => role = Some(value),
            "content" | "value" => content = Some(value),
            _ => {}
        });
        fields.map_err(|fault| Reject::from_fault(&fault, element.text.as_bytes()))?;
    }
    let (Some(role), Some(content)) = (role, content) else {
        let got =
            if element.kind == Kind::Object { "a turn without them" } else { element.kind.name() };
        let expected = format!("turn {number} with `role` and `content` (or `from` and `value`)");
        return Err(Reject::new("field", expected, got, ""));
    };
    if role.kind != Kind::String {
        let expected = format!("a string as the role of turn {number}");
        return Err(Reject::new("type", expected, role.kind.name(), ""));
    }
    Ok(Turn::new(text_of(&role), content_of(&content, number)?))
}

fn text_of<'a>(value: &Value<'a>) -> Cow<'a, str> {
    match value.escapes {
        Escapes::None => Cow::Borrowed(value.text),
        _ => Cow::Owned(unescape(value)),
    }
}

fn content_of<'a>(content: &Value<'a>, number: usize) -> Result<Cow<'a, str>, Reject> {
    match content.kind {
        Kind::String => Ok(text_of(content)),
        Kind::Null => Ok(Cow::Borrowed("")),
        Kind::Array => parts_of(content.text, number),
        kind => {
            let expected = format!("a string as the content of turn {number}");
            Err(Reject::new("type", expected, kind.name(), ""))
        }
    }
}

fn parts_of(text: &str, number: usize) -> Result<Cow<'static, str>, Reject> {
    let fault = |fault| Reject::from_fault(&fault, text.as_bytes());
    let mut parts = Vec::new();
    Scanner::new(text).array(|part| parts.push(part)).map_err(fault)?;
    let mut joined = String::new();
    for (index, part) in parts.iter().enumerate() {
        let mut said = None;
        if part.kind == Kind::Object {
            let fields = Scanner::new(part.text).object(|name, _, value| {
                if name == "text" && value.kind == Kind::String {
                    said = Some(value);
                }
            });
            fields.map_err(fault)?;
        }
        let Some(said) = said else {
            let expected = format!("only text parts in the content of turn {number}");
            let hint = "lmmixup works on text; drop images and sounds first";
            return Err(Reject::new("type", expected, "another part", hint));
        };
        if index > 0 {
            joined.push('\n');
        }
        joined.push_str(&text_of(&said));
    }
    Ok(Cow::Owned(joined))
}
