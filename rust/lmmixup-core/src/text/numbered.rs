//! Token numbers of records, made on the threads that parse them.

use std::sync::{Arc, PoisonError, RwLock};

use super::vocabulary::Vocabulary;
use super::{ShingleOptions, Tokenizer};
use crate::Result;
use crate::pool::canonical::{self, Sink};

/// Stands for a token that the vocabulary does not have yet.
pub(super) const UNSEEN: u32 = u32::MAX;

/// Token numbers of some records, made on one thread.
#[derive(Debug, Default)]
pub struct Numbered {
    pub(super) numbers: Vec<u32>,
    /// Tokens that had no number yet, in order.
    pub(super) unseen: Vec<u64>,
    pub(super) records: Vec<Record>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) num_tokens: usize,
    pub(super) content: u64,
    pub(super) length: u32,
}

/// Makes token numbers of records, as far as the vocabulary has them.
#[derive(Debug)]
pub(super) struct TextSink {
    tokenizer: Tokenizer,
    vocabulary: Arc<RwLock<Vocabulary>>,
    hashes: Vec<u64>,
    scratch: [String; 2],
    pub(super) made: Numbered,
}

impl TextSink {
    pub(super) fn new(options: ShingleOptions, vocabulary: &Arc<RwLock<Vocabulary>>) -> Self {
        Self {
            tokenizer: Tokenizer::new(options),
            vocabulary: Arc::clone(vocabulary),
            hashes: Vec::new(),
            scratch: Default::default(),
            made: Numbered::default(),
        }
    }

    pub(super) fn take(&mut self, texts: [&str; 2]) {
        self.hashes.clear();
        self.tokenizer.tokenize(texts, &mut self.hashes);
        let vocabulary = self.vocabulary.read().unwrap_or_else(PoisonError::into_inner);
        for &hash in &self.hashes {
            let number = vocabulary.get(hash).unwrap_or_else(|| {
                self.made.unseen.push(hash);
                UNSEEN
            });
            self.made.numbers.push(number);
        }
        self.made.records.push(Record {
            num_tokens: self.hashes.len(),
            content: hash_sequence(&self.hashes),
            length: u32::try_from(texts[0].len() + texts[1].len()).unwrap_or(u32::MAX),
        });
    }
}

impl Sink for TextSink {
    type Made = Numbered;

    fn push(&mut self, record: &canonical::Record<'_>) {
        let [mut prompt, mut completion] = std::mem::take(&mut self.scratch);
        self.take([record.prompt(&mut prompt), record.completion(&mut completion)]);
        self.scratch = [prompt, completion];
    }

    fn finish(self) -> Result<Numbered> {
        Ok(self.made)
    }
}

fn hash_sequence(hashes: &[u64]) -> u64 {
    let mut hash = hashes.len() as u64;
    for &token in hashes {
        hash = (hash ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    hash ^ (hash >> 32)
}
