//! The text of a chat: filled into the shape of its roles, or rendered.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::segments::Segments;
use super::{Chat, ChatScratch, Drop, dropped};
use crate::template::shape::common;
use crate::template::{Said, Shape, is_python_space};
use crate::{Error, Result};

/// Shapes that are kept; chats of still other shapes are rendered.
const MAX_SHAPES: usize = 4096;
/// Some one of so many chats that a shape filled is rendered too.
const PROOF_EVERY: usize = 64;

/// A chat as text, and the bytes of it that are trained on.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) trained: Vec<Range<usize>>,
}

/// A shape, and the tokens of its literals where they are known.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) shape: Shape,
    pub(super) segments: Option<Segments>,
}

impl Chat {
    /// The text of a chat whose shape is known or not.
    pub(super) fn text(
        &self,
        known: Option<&Known>,
        turns: &[Said<'_>],
    ) -> Result<std::result::Result<Text, Drop>> {
        let Some(Known { shape, .. }) = known else {
            self.paths.rendered.fetch_add(1, Ordering::Relaxed);
            return Ok(self.render(turns));
        };
        self.paths.filled.fetch_add(1, Ordering::Relaxed);
        let mut text =
            String::with_capacity(turns.iter().map(|turn| turn.content.len() + 64).sum());
        let mut trained = Vec::with_capacity(shape.answers.len());
        let mut answers = shape.answers.iter().peekable();
        for (turn, said) in turns.iter().enumerate() {
            let start = text.len();
            text.push_str(&shape.literals[turn]);
            text.push_str(shape.trims[turn].of(said.content));
            if let Some(span) = answers.next_if(|span| span.turn == turn) {
                trained.push(start + span.before..text.len() + span.after);
            }
        }
        text.push_str(&shape.literals[turns.len()]);
        if self.is_proved(text.len()) {
            self.prove(turns, &text)?;
        }
        Ok(Ok(Text { text, trained }))
    }

    /// Whether a filled text is compared with the full render: by its length, so that the same
    /// ones are at any number of threads.
    pub(super) fn is_proved(&self, length: usize) -> bool {
        let is_proved = length.is_multiple_of(PROOF_EVERY);
        self.paths.proved.fetch_add(u64::from(is_proved), Ordering::Relaxed);
        is_proved
    }

    /// The shape of a chat, where there is one that says all.
    pub(super) fn shape(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
    ) -> Result<Option<Arc<Known>>> {
        let blank = |turn: &Said<'_>| turn.content.chars().all(is_python_space);
        if !self.specialises
            || turns.iter().any(|turn| blank(turn) || self.template.looks_for(turn.content))
        {
            return Ok(None);
        }
        scratch.key.clear();
        for turn in turns {
            scratch.key.extend_from_slice(turn.role.as_bytes());
            scratch.key.push(0);
        }
        // Chats of one kind come one after another.
        if let Some((key, known)) = &scratch.last
            && *key == scratch.key
        {
            return Ok(known.clone());
        }
        let known = self.find_shape(turns, scratch)?;
        scratch.last = Some((scratch.key.clone(), known.clone()));
        Ok(known)
    }

    fn find_shape(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
    ) -> Result<Option<Arc<Known>>> {
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shapes.get(&scratch.key) {
            return Ok(known.clone());
        }
        let is_full = shapes.len() >= MAX_SHAPES;
        drop(shapes);
        if is_full {
            return Ok(None);
        }
        let roles: Vec<&str> = turns.iter().map(|turn| turn.role).collect();
        let known = match Shape::of(&self.template, &roles) {
            Ok(shape) => {
                self.prove(turns, &shape.fill(turns))?;
                let segments = Segments::of(&self.encoder, &shape, scratch)?;
                Some(Arc::new(Known { shape, segments }))
            }
            Err(_) => None,
        };
        let mut shapes = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        Ok(shapes.entry(scratch.key.clone()).or_insert(known).clone())
    }

    pub(super) fn prove(&self, turns: &[Said<'_>], filled: &str) -> Result<()> {
        if self.template.render(turns, false).is_ok_and(|text| text == filled) {
            return Ok(());
        }
        let roles: Vec<&str> = turns.iter().map(|turn| turn.role).collect();
        Err(Error::Data(format!(
            "the chat template treats some contents of turns {} in another way than the rest; \
             pass --template-path render, which renders each record",
            roles.join(", ")
        )))
    }

    /// A chat as the template renders it, and where its answers are.
    fn render(&self, turns: &[Said<'_>]) -> std::result::Result<Text, Drop> {
        let raised =
            |text: String| dropped("template", format!("the chat template raised: {text}"));
        let text = self.template.render(turns, false).map_err(raised)?;
        let mut trained = Vec::new();
        for (turn, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == "assistant") {
            let opening = self.template.render(&turns[..turn], true).map_err(raised)?;
            let closing = match turn + 1 == turns.len() {
                true => text.len(),
                false => {
                    let closing = self.template.render(&turns[..=turn], false).map_err(raised)?;
                    if !text.starts_with(&closing) {
                        let detail = format!(
                            "turn {} is rendered differently where others follow, so its tokens \
                             cannot be told from theirs",
                            turn + 1
                        );
                        return Err(dropped("mask", detail));
                    }
                    closing.len()
                }
            };
            trained.push(common(&opening, &text)..closing);
        }
        Ok(Text { text, trained })
    }
}
