//! Builds the canonical columns, one record after another, from any input.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{ArrayRef, ListArray, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field as ArrowField, Fields};

use crate::pool::columns::append;
use crate::pool::ids::{content_hash, turns_hash};
use crate::pool::json::{Kind, Value, unescape, unescape_into};
use crate::pool::mapping::{IdRule, Mapping, Need, Shape};
use crate::pool::reject::Reject;
use crate::pool::turns::{Turn, prompt_completion, read_turns};
use crate::{Error, Result};

/// What a record has in one column that plays a part.
#[derive(Clone, Debug, Default)]
pub enum Field<'a> {
    /// The record has no such column.
    #[default]
    Absent,
    /// Null.
    Null,
    /// Text as it is.
    Text(&'a str),
    /// A JSON value.
    Json(Value<'a>),
    /// A number or boolean as text.
    Number(&'a str),
    /// A conversation that was typed already.
    Turns(Vec<Turn<'a>>),
    /// Something else, by its name in messages.
    Other(String),
}

impl Field<'_> {
    fn kind(&self) -> &str {
        match self {
            Self::Absent => "no such field",
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Json(value) => value.kind.name(),
            Self::Number(_) => "a number or boolean",
            Self::Turns(_) => "a list of turns",
            Self::Other(name) => name,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Json(Value { kind: Kind::String, .. }))
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null | Self::Json(Value { kind: Kind::Null, .. }))
    }

    fn write(&self, out: &mut impl FnMut(&str)) {
        match self {
            Self::Text(text) => out(text),
            Self::Json(value) if value.kind == Kind::String => unescape_into(value, out),
            Self::Json(value) if value.kind != Kind::Null => out(value.text),
            _ => {}
        }
    }

    fn to_text(&self) -> Option<String> {
        match self {
            _ if self.is_missing() => None,
            Self::Text(text) | Self::Number(text) => Some((*text).to_owned()),
            Self::Json(value) if value.kind == Kind::String => Some(unescape(value)),
            Self::Json(value) => Some(value.text.to_owned()),
            _ => None,
        }
    }
}

/// Which canonical columns are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the columns")]
pub struct Wanted {
    pub id: bool,
    pub source: bool,
    pub prompt: bool,
    pub completion: bool,
    pub messages: bool,
    pub task_type: bool,
}

impl Wanted {
    /// The columns of these names; other names are not canonical.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut wanted = Self::default();
        for name in names {
            match name {
                "id" => wanted.id = true,
                "source" => wanted.source = true,
                "prompt" => wanted.prompt = true,
                "completion" => wanted.completion = true,
                "messages" => wanted.messages = true,
                "task_type" => wanted.task_type = true,
                _ => {}
            }
        }
        wanted
    }
}

/// The canonical columns of a batch, ids still to be made unique.
#[derive(Debug)]
pub struct Canonical {
    /// Own ids; null where a record has none.
    pub own_ids: StringArray,
    /// Content hashes; empty where nobody asked for ids.
    pub hashes: Vec<u64>,
    /// Name and array of the other columns that were asked for.
    pub columns: Vec<(&'static str, ArrayRef)>,
}

/// Builds canonical columns record by record.
#[derive(Debug)]
pub struct CanonicalBuilder<'m> {
    mapping: &'m Mapping,
    wanted: Wanted,
    default_source: &'m str,
    fixed_source: bool,
    own_ids: StringBuilder,
    hashes: Vec<u64>,
    source: StringBuilder,
    prompt: StringBuilder,
    completion: StringBuilder,
    task_type: StringBuilder,
    role: StringBuilder,
    content: StringBuilder,
    ends: Vec<i32>,
    scratch: String,
}

impl<'m> CanonicalBuilder<'m> {
    /// A builder; `source` is used where records name none, or always if `fixed_source`;
    ///
    /// `bytes` says how much text to expect.
    pub fn new(
        mapping: &'m Mapping,
        wanted: Wanted,
        source: &'m str,
        fixed_source: bool,
        bytes: usize,
    ) -> Self {
        let texts = |wanted: bool| match wanted {
            // Half of the text each, untouched pages being free, and no growth by copying.
            true => StringBuilder::with_capacity(bytes / 512, bytes / 2),
            false => StringBuilder::new(),
        };
        Self {
            mapping,
            wanted,
            default_source: source,
            fixed_source,
            own_ids: StringBuilder::new(),
            hashes: Vec::new(),
            source: StringBuilder::new(),
            prompt: texts(wanted.prompt),
            completion: texts(wanted.completion),
            task_type: StringBuilder::new(),
            role: StringBuilder::new(),
            content: StringBuilder::new(),
            ends: vec![0],
            scratch: String::new(),
        }
    }

    /// Adds a record; `fields` are in the order of [`Mapping::roles`].
    ///
    /// # Errors
    /// A [`Reject`] without line and raw text; the builder is then as before.
    pub fn push(&mut self, fields: &[Field<'_>]) -> std::result::Result<(), Reject> {
        self.check_id(fields)?;
        match self.mapping.shape {
            Shape::Pair { num_prompts } => self.push_pair(fields, num_prompts)?,
            Shape::Chat => self.push_chats(fields, 1)?,
            Shape::TwoChats => self.push_chats(fields, 2)?,
        }
        self.push_labels(fields);
        Ok(())
    }

    fn check_id(&self, fields: &[Field<'_>]) -> std::result::Result<(), Reject> {
        let id = &fields[self.mapping.id];
        if self.mapping.ids == IdRule::Column && (id.is_missing() || id.to_text().is_none()) {
            let column = &self.mapping.roles[self.mapping.id].column;
            let expected = format!("an id in `{column}`");
            return Err(Reject::new("id", expected, id.kind(), "make ids with --ids content"));
        }
        Ok(())
    }

    fn check_text(&self, fields: &[Field<'_>], at: usize) -> std::result::Result<(), Reject> {
        let (field, role) = (&fields[at], &self.mapping.roles[at]);
        if field.is_text() || (role.need == Need::OptionalText && field.is_missing()) {
            return Ok(());
        }
        let column = &role.column;
        if let Field::Absent = field {
            let expected = format!("a field `{column}` (schema {})", self.mapping.schema);
            let hint = "name another schema with --schema, or columns with --columns";
            return Err(Reject::new("field", expected, "none", hint));
        }
        Err(Reject::new("type", format!("a string in `{column}`"), field.kind(), ""))
    }

    fn push_pair(
        &mut self,
        fields: &[Field<'_>],
        num_prompts: usize,
    ) -> std::result::Result<(), Reject> {
        for at in 0..=num_prompts {
            self.check_text(fields, at)?;
        }
        self.check_text(fields, self.mapping.system)?;
        let build_turns = self.wanted.messages || self.wanted.id;
        if self.wanted.prompt && !build_turns {
            join(&fields[..num_prompts], &mut |text| append(&mut self.prompt, text));
            self.prompt.append_value("");
        }
        if self.wanted.completion && !build_turns {
            fields[num_prompts].write(&mut |text| append(&mut self.completion, text));
            self.completion.append_value("");
        }
        if build_turns {
            self.push_built_pair(fields, num_prompts);
        }
        Ok(())
    }

    /// A pair whose texts are needed more than once: unescaped into one scratch buffer first.
    fn push_built_pair(&mut self, fields: &[Field<'_>], num_prompts: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        fields[self.mapping.system].write(&mut |text| scratch.push_str(text));
        let system_end = scratch.len();
        join(&fields[..num_prompts], &mut |text| scratch.push_str(text));
        let prompt_end = scratch.len();
        fields[num_prompts].write(&mut |text| scratch.push_str(text));
        let system = &scratch[..system_end];
        let prompt = &scratch[system_end..prompt_end];
        let completion = &scratch[prompt_end..];
        let turns = [("system", system), ("user", prompt), ("assistant", completion)];
        let turns = if system.is_empty() { &turns[1..] } else { &turns[..] };
        if self.wanted.id {
            self.hashes.push(content_hash(turns.iter().copied()));
        }
        if self.wanted.prompt {
            self.prompt.append_value(prompt);
        }
        if self.wanted.completion {
            self.completion.append_value(completion);
        }
        if self.wanted.messages {
            self.push_messages(turns.iter().copied());
        }
        self.scratch = scratch;
    }

    fn push_chats(
        &mut self,
        fields: &[Field<'_>],
        num_chats: usize,
    ) -> std::result::Result<(), Reject> {
        let mut turns = Vec::new();
        let mut system = String::new();
        self.check_text(fields, self.mapping.system)?;
        fields[self.mapping.system].write(&mut |text| system.push_str(text));
        for (field, role) in fields.iter().zip(&self.mapping.roles).take(num_chats) {
            self.read_chat(field, &role.column, &mut turns)?;
        }
        if !system.is_empty() && turns.first().is_none_or(|turn| turn.role != "system") {
            turns.insert(0, Turn { role: "system".into(), content: system.as_str().into() });
        }
        let Some((prompt, completion)) = prompt_completion(&turns) else {
            let got = if turns.is_empty() {
                "no turns".to_owned()
            } else {
                let roles: Vec<&str> =
                    turns.iter().map(|turn| turn.role.as_ref()).take(8).collect();
                format!("turns of {}", roles.join(", "))
            };
            return Err(Reject::new("field", "at least one assistant turn", got, ""));
        };
        if self.wanted.id {
            self.hashes.push(turns_hash(&turns));
        }
        if self.wanted.prompt {
            self.prompt.append_value(prompt);
        }
        if self.wanted.completion {
            self.completion.append_value(completion);
        }
        if self.wanted.messages {
            self.push_messages(
                turns.iter().map(|turn| (turn.role.as_ref(), turn.content.as_ref())),
            );
        }
        Ok(())
    }

    fn read_chat<'a>(
        &self,
        field: &Field<'a>,
        column: &str,
        turns: &mut Vec<Turn<'a>>,
    ) -> std::result::Result<(), Reject> {
        match field {
            Field::Turns(typed) => turns.extend_from_slice(typed),
            Field::Text(text) => read_turns(text, turns)?,
            Field::Json(value) if value.kind == Kind::Array => read_turns(value.text, turns)?,
            Field::Absent => {
                let expected = format!("a field `{column}` (schema {})", self.mapping.schema);
                let hint = "name another schema with --schema, or columns with --columns";
                return Err(Reject::new("field", expected, "none", hint));
            }
            other => {
                let expected = format!("a list of turns in `{column}`");
                return Err(Reject::new("type", expected, other.kind(), ""));
            }
        }
        Ok(())
    }

    fn push_messages<'t>(&mut self, turns: impl Iterator<Item = (&'t str, &'t str)>) {
        for (role, content) in turns {
            self.role.append_value(role);
            self.content.append_value(content);
        }
        self.ends.push(i32::try_from(self.role.len()).unwrap_or(i32::MAX));
    }

    fn push_labels(&mut self, fields: &[Field<'_>]) {
        match self.mapping.ids {
            IdRule::Content => self.own_ids.append_null(),
            _ => {
                let id = fields[self.mapping.id].to_text();
                self.own_ids.append_option(id);
            }
        }
        if self.wanted.source {
            let own = if self.fixed_source { None } else { fields[self.mapping.source].to_text() };
            self.source.append_value(own.as_deref().unwrap_or(self.default_source));
        }
        if self.wanted.task_type {
            self.task_type.append_option(fields[self.mapping.task_type].to_text());
        }
    }

    /// The columns of everything that was pushed.
    ///
    /// # Errors
    /// [`Error::Data`] where one batch holds more than 2 GiB of text.
    pub fn finish(mut self) -> Result<Canonical> {
        let mut columns: Vec<(&'static str, ArrayRef)> = Vec::new();
        let wanted = self.wanted;
        let texts = [
            (wanted.source, "source", &mut self.source),
            (wanted.prompt, "prompt", &mut self.prompt),
            (wanted.completion, "completion", &mut self.completion),
        ];
        for (is_wanted, name, builder) in texts {
            if is_wanted {
                columns.push((name, Arc::new(builder.finish())));
            }
        }
        if wanted.messages {
            columns.push(("messages", self.finish_messages()?));
        }
        if wanted.task_type {
            columns.push(("task_type", Arc::new(self.task_type.finish())));
        }
        Ok(Canonical { own_ids: self.own_ids.finish(), hashes: self.hashes, columns })
    }

    fn finish_messages(&mut self) -> Result<ArrayRef> {
        if self.ends.last() == Some(&i32::MAX) {
            return Err(Error::Data("expected fewer than 2^31 turns in a batch".to_owned()));
        }
        let arrays: Vec<ArrayRef> =
            vec![Arc::new(self.role.finish()), Arc::new(self.content.finish())];
        let turns = StructArray::try_new(turn_fields(), arrays, None)?;
        let item = Arc::new(ArrowField::new("item", DataType::Struct(turn_fields()), true));
        let ends = OffsetBuffer::new(std::mem::take(&mut self.ends).into());
        Ok(Arc::new(ListArray::try_new(item, ends, Arc::new(turns), None)?))
    }
}

/// The fields of a turn in the `messages` column.
pub fn turn_fields() -> Fields {
    let field = |name| ArrowField::new(name, DataType::Utf8, true);
    Fields::from(vec![field("role"), field("content")])
}

/// Writes the parts of a prompt that are not empty, with newlines between.
fn join(parts: &[Field<'_>], out: &mut impl FnMut(&str)) {
    let mut first = true;
    for part in parts {
        let mut begun = false;
        part.write(&mut |text| {
            if !begun && !text.is_empty() {
                if !first {
                    out("\n");
                }
                begun = true;
                first = false;
            }
            out(text);
        });
    }
}
