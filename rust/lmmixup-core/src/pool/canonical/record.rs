//! A record whose fields fit the mapping: prompt, completion, turns, labels.

use std::borrow::Cow;

use super::{Field, Form};
use crate::pool::ids::{content_hash, turns_hash};
use crate::pool::json::{Kind, body_of};
use crate::pool::mapping::{IdRule, Mapping, Need, Shape};
use crate::pool::parse::Plan;
use crate::pool::reject::Reject;
use crate::pool::turns::{Turn, prompt_completion, read_turns};
use crate::template;

/// A record that can be used; what it says is unescaped and joined only where it is asked for.
#[derive(Debug)]
pub struct Record<'r> {
    plan: &'r Plan,
    fields: &'r [Field<'r>],
    said: Said<'r>,
}

#[derive(Debug)]
enum Said<'r> {
    /// The prompt joins the first fields, the completion is the next.
    Pair { num_prompts: usize },
    /// Turns with at least one of the assistant.
    Chat(Vec<Turn<'r>>),
}

impl<'r> Record<'r> {
    /// Checks the fields, which are in the order of [`Mapping::roles`].
    ///
    /// # Errors
    /// A [`Reject`] without line and raw text.
    #[inline]
    pub fn of(plan: &'r Plan, fields: &'r [Field<'r>]) -> Result<Self, Reject> {
        let mapping = &plan.mapping;
        check_id(mapping, fields)?;
        let said = match mapping.shape {
            Shape::Pair { num_prompts } => {
                for at in 0..=num_prompts {
                    check_text(mapping, fields, at)?;
                }
                check_text(mapping, fields, mapping.system)?;
                Said::Pair { num_prompts }
            }
            Shape::Chat => Said::Chat(read_chats(mapping, fields, 1)?),
            Shape::TwoChats => Said::Chat(read_chats(mapping, fields, 2)?),
        };
        Ok(Self { plan, fields, said })
    }

    /// The prompt, in `scratch` unless it stands in the input as it is.
    pub fn prompt<'s>(&'s self, scratch: &'s mut String) -> &'s str {
        self.prompt_as(Form::Text, scratch)
    }

    /// The completion, in `scratch` unless it stands in the input as it is.
    pub fn completion<'s>(&'s self, scratch: &'s mut String) -> &'s str {
        self.completion_as(Form::Text, scratch)
    }

    /// The prompt in a form, in `scratch` unless it stands in the input like that.
    #[inline]
    pub fn prompt_as<'s>(&'s self, form: Form, scratch: &'s mut String) -> &'s str {
        match &self.said {
            Said::Pair { num_prompts } => {
                let parts = &self.fields[..*num_prompts];
                let mut rest = parts.iter().filter(|part| part.whole(form) != Some(""));
                let only = match (rest.next(), rest.next()) {
                    (None, _) => Some(""),
                    (Some(only), None) => only.whole(form),
                    _ => None,
                };
                if let Some(text) = only {
                    return text;
                }
                join(parts, form, scratch);
                scratch
            }
            Said::Chat(turns) => match prompt_completion(turns) {
                Some((Cow::Borrowed(prompt), _)) => in_form(prompt, form, scratch),
                Some((Cow::Owned(prompt), _)) => {
                    scratch.clear();
                    Field::Text(&prompt).append_to(form, scratch);
                    scratch
                }
                None => "",
            },
        }
    }

    /// The completion in a form, in `scratch` unless it stands in the input like that.
    #[inline]
    pub fn completion_as<'s>(&'s self, form: Form, scratch: &'s mut String) -> &'s str {
        match &self.said {
            Said::Pair { num_prompts } => whole_text(&self.fields[*num_prompts], form, scratch),
            Said::Chat(turns) => {
                let completion = prompt_completion(turns).map_or("", |(_, completion)| completion);
                in_form(completion, form, scratch)
            }
        }
    }

    /// Gives role and content of every turn; prompt and completion as made already.
    pub(super) fn turns(&self, prompt: &str, completion: &str, mut see: impl FnMut(&str, &str)) {
        match &self.said {
            Said::Pair { .. } => self.pair_turns(prompt, completion, |turns| {
                turns.iter().for_each(|(role, content)| see(role, content));
            }),
            Said::Chat(turns) => turns.iter().for_each(|turn| see(&turn.role, &turn.content)),
        }
    }

    /// Gives all turns at once; `scratch` is for what does not stand in the input as it is.
    pub fn with_turns<T>(
        &self,
        scratch: &mut [String; 2],
        see: impl FnOnce(&[template::Said<'_>]) -> T,
    ) -> T {
        match &self.said {
            Said::Pair { .. } => {
                let [prompt, completion] = scratch;
                let texts = (self.prompt(prompt), self.completion(completion));
                self.pair_turns(texts.0, texts.1, |turns| {
                    let said = turns.iter();
                    see(&said
                        .map(|&(role, content)| template::Said { role, content })
                        .collect::<Vec<_>>())
                })
            }
            Said::Chat(turns) => {
                let said = turns.iter();
                see(&said
                    .map(|Turn { role, content }| template::Said { role, content })
                    .collect::<Vec<_>>())
            }
        }
    }

    /// The hash of what the record says, from which its id is made if it has none.
    pub fn hash(&self) -> u64 {
        match &self.said {
            Said::Pair { .. } => {
                let [mut prompt, mut completion] = [const { String::new() }; 2];
                let texts = (self.prompt(&mut prompt), self.completion(&mut completion));
                self.pair_turns(texts.0, texts.1, |turns| content_hash(turns.iter().copied()))
            }
            Said::Chat(turns) => turns_hash(turns),
        }
    }

    fn pair_turns<T>(
        &self,
        prompt: &str,
        completion: &str,
        see: impl FnOnce(&[(&str, &str)]) -> T,
    ) -> T {
        let mut scratch = String::new();
        let system = whole_text(&self.fields[self.plan.mapping.system], Form::Text, &mut scratch);
        let turns = [("system", system), ("user", prompt), ("assistant", completion)];
        see(if system.is_empty() { &turns[1..] } else { &turns[..] })
    }

    /// Its own id, if it has one that counts.
    pub fn own_id(&self) -> Option<Cow<'_, str>> {
        match self.plan.mapping.ids {
            IdRule::Content => None,
            _ => self.fields[self.plan.mapping.id].label(),
        }
    }

    /// Where it comes from.
    pub(super) fn source(&self) -> Cow<'_, str> {
        let own = match self.plan.fixed_source {
            true => None,
            false => self.fields[self.plan.mapping.source].label(),
        };
        own.unwrap_or(Cow::Borrowed(&self.plan.source))
    }

    /// Its task type, if it has one.
    pub(super) fn task_type(&self) -> Option<Cow<'_, str>> {
        self.fields[self.plan.mapping.task_type].label()
    }
}

fn whole_text<'s>(field: &'s Field<'_>, form: Form, scratch: &'s mut String) -> &'s str {
    match field.whole(form) {
        Some(text) => text,
        None => {
            scratch.clear();
            field.append_to(form, scratch);
            scratch
        }
    }
}

fn in_form<'s>(text: &'s str, form: Form, scratch: &'s mut String) -> &'s str {
    match form {
        Form::Text => text,
        Form::Body => body_of(text, scratch),
    }
}

/// Writes the parts of a prompt that are not empty, with newlines between.
fn join(parts: &[Field<'_>], form: Form, out: &mut String) {
    out.clear();
    for part in parts {
        let before = out.len();
        if before > 0 {
            out.push_str(match form {
                Form::Text => "\n",
                Form::Body => "\\n",
            });
        }
        let start = out.len();
        part.append_to(form, out);
        if out.len() == start {
            out.truncate(before);
        }
    }
}

fn check_id(mapping: &Mapping, fields: &[Field<'_>]) -> Result<(), Reject> {
    let id = &fields[mapping.id];
    if mapping.ids == IdRule::Column && id.label().is_none() {
        let expected = format!("an id in `{}`", mapping.roles[mapping.id].column);
        return Err(Reject::new("id", expected, id.kind(), "make ids with --ids content"));
    }
    Ok(())
}

fn check_text(mapping: &Mapping, fields: &[Field<'_>], at: usize) -> Result<(), Reject> {
    let (field, role) = (&fields[at], &mapping.roles[at]);
    if field.is_text() || (role.need == Need::OptionalText && field.is_missing()) {
        return Ok(());
    }
    if let Field::Absent = field {
        return Err(no_such_field(mapping, &role.column));
    }
    Err(Reject::new("type", format!("a string in `{}`", role.column), field.kind(), ""))
}

fn no_such_field(mapping: &Mapping, column: &str) -> Reject {
    let expected = format!("a field `{column}` (schema {})", mapping.schema);
    let hint = "name another schema with --schema, or columns with --columns";
    Reject::new("field", expected, "none", hint)
}

fn read_chats<'r>(
    mapping: &Mapping,
    fields: &'r [Field<'r>],
    num_chats: usize,
) -> Result<Vec<Turn<'r>>, Reject> {
    let mut turns = Vec::new();
    check_text(mapping, fields, mapping.system)?;
    for (field, role) in fields.iter().zip(&mapping.roles).take(num_chats) {
        read_chat(mapping, field, &role.column, &mut turns)?;
    }
    let mut system = String::new();
    fields[mapping.system].append_to(Form::Text, &mut system);
    if !system.is_empty() && turns.first().is_none_or(|turn| turn.role != "system") {
        turns.insert(0, Turn { role: "system".into(), content: system.into() });
    }
    if turns.iter().any(|turn| turn.role == "assistant") {
        return Ok(turns);
    }
    let roles: Vec<&str> = turns.iter().map(|turn| turn.role.as_ref()).take(8).collect();
    let got = match turns.len() {
        0 => "no turns".to_owned(),
        _ => format!("turns of {}", roles.join(", ")),
    };
    Err(Reject::new("field", "at least one assistant turn", got, ""))
}

fn read_chat<'r>(
    mapping: &Mapping,
    field: &'r Field<'r>,
    column: &str,
    turns: &mut Vec<Turn<'r>>,
) -> Result<(), Reject> {
    match field {
        Field::Turns(typed) => turns.extend_from_slice(typed),
        Field::Text(text) => read_turns(text, turns)?,
        Field::Json(value) if value.kind == Kind::Array => read_turns(value.text, turns)?,
        Field::Absent => return Err(no_such_field(mapping, column)),
        other => {
            let expected = format!("a list of turns in `{column}`");
            return Err(Reject::new("type", expected, other.kind(), ""));
        }
    }
    Ok(())
}
