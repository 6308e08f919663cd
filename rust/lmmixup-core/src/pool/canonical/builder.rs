//! The canonical columns as Arrow arrays.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field as ArrowField, Fields};

use super::{Record, Sink, Wanted};
use crate::{Error, Result};

/// Name and array of the canonical columns of a batch that were asked for, but for the ids.
#[derive(Debug)]
pub struct Canonical {
    /// In the order of the canonical columns.
    pub columns: Vec<(&'static str, ArrayRef)>,
    /// Their length.
    pub num_records: usize,
}

/// Builds canonical columns record by record.
#[derive(Debug)]
pub struct CanonicalBuilder {
    wanted: Wanted,
    num_records: usize,
    source: StringBuilder,
    prompt: StringBuilder,
    completion: StringBuilder,
    task_type: StringBuilder,
    role: StringBuilder,
    content: StringBuilder,
    ends: Vec<i32>,
    scratch: [String; 2],
}

impl CanonicalBuilder {
    /// A builder; `bytes` says how much text to expect.
    pub fn new(wanted: Wanted, bytes: usize) -> Self {
        let texts = |wanted: bool| match wanted {
            // Half of the text each, untouched pages being free, and no growth by copying.
            true => StringBuilder::with_capacity(bytes / 512, bytes / 2),
            false => StringBuilder::new(),
        };
        Self {
            wanted,
            num_records: 0,
            source: StringBuilder::new(),
            prompt: texts(wanted.prompt),
            completion: texts(wanted.completion),
            task_type: StringBuilder::new(),
            role: StringBuilder::new(),
            content: StringBuilder::new(),
            ends: vec![0],
            scratch: Default::default(),
        }
    }

    /// Texts that are needed more than once are made once.
    fn push_texts(&mut self, record: &Record<'_>) {
        let [mut prompt, mut completion] = std::mem::take(&mut self.scratch);
        let texts = (record.prompt(&mut prompt), record.completion(&mut completion));
        if self.wanted.prompt {
            self.prompt.append_value(texts.0);
        }
        if self.wanted.completion {
            self.completion.append_value(texts.1);
        }
        if self.wanted.messages {
            record.turns(texts.0, texts.1, |role, content| {
                self.role.append_value(role);
                self.content.append_value(content);
            });
            self.ends.push(i32::try_from(self.role.len()).unwrap_or(i32::MAX));
        }
        self.scratch = [prompt, completion];
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

impl Sink for CanonicalBuilder {
    type Made = Canonical;

    fn push(&mut self, record: &Record<'_>) {
        self.num_records += 1;
        if self.wanted.prompt || self.wanted.completion || self.wanted.messages {
            self.push_texts(record);
        }
        if self.wanted.source {
            self.source.append_value(record.source());
        }
        if self.wanted.task_type {
            self.task_type.append_option(record.task_type());
        }
    }

    fn finish(mut self) -> Result<Canonical> {
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
        Ok(Canonical { columns, num_records: self.num_records })
    }
}

/// The fields of a turn in the `messages` column.
pub fn turn_fields() -> Fields {
    let field = |name| ArrowField::new(name, DataType::Utf8, true);
    Fields::from(vec![field("role"), field("content")])
}
