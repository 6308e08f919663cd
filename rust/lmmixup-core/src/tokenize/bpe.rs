//! Byte-pair encoding: which tokens the bytes of a word merge into.
//!
//! Of all pairs of neighbours the one that comes first in the list of merges becomes a token, the
//! leftmost of equal ones, until no pair is in the list.
//!
//! Source: Sennrich et al., arXiv 1508.07909; bytes as in GPT-2; table and queue ours.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;

use super::tables::{Alphabet, Hashed, Vocabulary, read_merges};

/// Ids that a pair's slot has room for; tokenizers with more take another way.
pub const MAX_ID: u32 = (1 << 20) - 2;
/// Merges that a slot can number.
const MAX_MERGES: usize = (1 << 24) - 1;
/// Rank of a pair that does not merge.
const NONE: u32 = u32::MAX;
/// Bytes of a word up to which looking at all pairs is faster than a queue of them.
const FEW: usize = 64;
/// Bits of a place in such a word.
const PLACE_BITS: u32 = FEW.trailing_zeros();

/// A byte-level BPE model.
///
/// A merge is some loads that wait for each other, so what counts is how near the memory is.
pub struct Bpe {
    /// Token of each byte.
    bytes: [u32; 256],
    /// Ranks of pairs of bytes, the first one's byte above the other's: most looks are for these.
    byte_pairs: Vec<u32>,
    /// Open addressing: both ids, 20 bits each, above 24 bits of rank; all ones are free.
    pairs: Vec<u64>,
    shift: u32,
    products: Products,
    /// Tokens that are taken whole though no merge may make them, by their bytes.
    whole: Option<HashMap<Box<[u8]>, u32, BuildHasherDefault<Hashed>>>,
}

/// What the pair of each rank becomes.
enum Products {
    /// The rank and this: vocabularies list what merges make in the order of the merges.
    InOrder(u32),
    Listed(Vec<u32>),
}

/// A token of a word, and the rank of its pair with the next one.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    rank: u32,
}

/// What a thread keeps from word to word.
#[derive(Default)]
pub struct MergeScratch {
    few: Few,
    parts: Vec<Part>,
    /// Neighbours of each part of a long word.
    links: Vec<(u32, u32)>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

/// A short word, each part at the place of its first byte.
struct Few {
    ids: [u32; FEW],
    /// Ranks of pairs with the next part, above the places: the least is the leftmost of its kind.
    keys: [u32; FEW],
    /// Places of the neighbours; before the first there is none, which is [`FEW`].
    links: [(u8, u8); FEW],
}

impl Default for Few {
    fn default() -> Self {
        Self { ids: [0; FEW], keys: [NONE; FEW], links: [(0, 0); FEW] }
    }
}

impl Bpe {
    /// From the tokens of the bytes and a list of merges; `whole` for tokenizers that look for a
    /// word in the vocabulary first.
    ///
    /// # Errors
    /// What is wrong with the tables.
    pub fn new(
        bytes: [u32; 256],
        known: &Vocabulary<'_>,
        merges: &str,
        whole: bool,
    ) -> Result<Self, String> {
        let (found, products) = read_pairs(known, merges)?;
        let bits = (found.len() * 3 / 2 + 1).next_power_of_two().trailing_zeros().max(4);
        let mut bpe = Self {
            bytes,
            byte_pairs: vec![NONE; 1 << 16],
            pairs: vec![u64::MAX; 1 << bits],
            shift: 64 - bits,
            products: Products::of(products),
            whole: whole.then(|| spelled(known)),
        };
        bpe.fill_byte_pairs(&found);
        found.into_iter().for_each(|slot| bpe.insert(slot));
        Ok(bpe)
    }

    fn fill_byte_pairs(&mut self, found: &[u64]) {
        let byte_of: HashMap<u32, usize> = self.bytes.iter().copied().zip(0..).collect();
        let last = self.bytes.iter().copied().max().unwrap_or(0);
        for slot in found {
            let (left, right) = ((slot >> 44) as u32, (slot >> 24) as u32 & 0xf_ffff);
            if left.max(right) <= last
                && let (Some(left), Some(right)) = (byte_of.get(&left), byte_of.get(&right))
            {
                self.byte_pairs[left << 8 | right] = (slot & 0xff_ffff) as u32;
            }
        }
    }

    /// A pair that stands twice in the list has its last rank.
    fn insert(&mut self, slot: u64) {
        let mut at = self.home(slot >> 24);
        while self.pairs[at] != u64::MAX && self.pairs[at] >> 24 != slot >> 24 {
            at = (at + 1) & (self.pairs.len() - 1);
        }
        self.pairs[at] = slot;
    }

    #[inline]
    fn home(&self, pair: u64) -> usize {
        (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        let pair = slot(left, right, 0) >> 24;
        let mut at = self.home(pair);
        loop {
            let slot = self.pairs[at];
            if slot >> 24 == pair {
                return (slot & 0xff_ffff) as u32;
            }
            if slot == u64::MAX {
                return NONE;
            }
            at = (at + 1) & (self.pairs.len() - 1);
        }
    }

    /// The rank of two neighbouring bytes.
    #[inline]
    fn byte_rank(&self, left: u8, right: u8) -> u32 {
        self.byte_pairs[usize::from(left) << 8 | usize::from(right)]
    }

    /// What the pair of a rank becomes.
    #[inline]
    fn product(&self, rank: u32) -> u32 {
        match &self.products {
            Products::InOrder(first) => first.wrapping_add(rank),
            Products::Listed(products) => products[rank as usize],
        }
    }

    /// Appends the tokens of a word to `out`.
    pub fn encode(&self, word: &[u8], scratch: &mut MergeScratch, out: &mut Vec<u32>) {
        if let Some(&id) = self.whole.as_ref().and_then(|whole| whole.get(word)) {
            out.push(id);
        } else if word.len() <= FEW {
            self.merge_few(word, &mut scratch.few, out);
        } else {
            self.merge_many(word, scratch, out);
        }
    }

    fn merge_few(&self, word: &[u8], few: &mut Few, out: &mut Vec<u32>) {
        let Few { ids, keys, links } = few;
        let length = word.len();
        for (at, &byte) in word.iter().enumerate() {
            ids[at] = self.bytes[usize::from(byte)];
            keys[at] = word.get(at + 1).map_or(NONE, |&next| key(self.byte_rank(byte, next), at));
            links[at] = (at.wrapping_sub(1).min(FEW) as u8, at as u8 + 1);
        }
        loop {
            let least = keys[..length].iter().fold(NONE, |least, &key| least.min(key));
            if least == NONE {
                break;
            }
            let at = least as usize % FEW;
            let (before, gone) = links[at];
            let next = links[usize::from(gone) % FEW].1;
            let id = self.product(least >> PLACE_BITS);
            ids[at] = id;
            links[at].1 = next;
            keys[usize::from(gone) % FEW] = NONE;
            let (before, next) = (usize::from(before), usize::from(next));
            keys[at] = NONE;
            if next < length {
                links[next].0 = at as u8;
                keys[at] = key(self.rank(id, ids[next]), at);
            }
            if before < FEW {
                keys[before] = key(self.rank(ids[before], id), before);
            }
        }
        let mut at = 0;
        while at < length {
            out.push(ids[at]);
            at = usize::from(links[at].1);
        }
    }

    /// Takes the pairs from a queue, for words of any length in O(N log N).
    fn merge_many(&self, word: &[u8], scratch: &mut MergeScratch, out: &mut Vec<u32>) {
        const END: u32 = u32::MAX;
        const GONE: u32 = u32::MAX - 1;
        let MergeScratch { parts, links, queue, .. } = scratch;
        parts.clear();
        let pairs = word.windows(2).map(|pair| self.byte_rank(pair[0], pair[1]));
        let ranks = pairs.chain([NONE]);
        let ids = word.iter().map(|&byte| self.bytes[usize::from(byte)]);
        parts.extend(ids.zip(ranks).map(|(id, rank)| Part { id, rank }));
        let last = parts.len() as u32 - 1;
        links.clear();
        links.extend(
            (0..=last).map(|at| {
                (if at == 0 { END } else { at - 1 }, if at == last { END } else { at + 1 })
            }),
        );
        queue.clear();
        let ranked = parts.iter().enumerate().filter(|(_, part)| part.rank != NONE);
        queue.extend(ranked.map(|(at, part)| Reverse((part.rank, at as u32))));
        while let Some(Reverse((rank, at))) = queue.pop() {
            let place = at as usize;
            // A rank is that of one pair alone: where it still holds, the pair is still there.
            if parts[place].rank != rank || links[place].1 == GONE {
                continue;
            }
            let (before, gone) = links[place];
            let next = links[gone as usize].1;
            parts[place].id = self.product(rank);
            links[gone as usize].1 = GONE;
            links[place].1 = next;
            parts[place].rank = NONE;
            if next != END {
                links[next as usize].0 = at;
                self.rerank(parts, at, next, queue);
            }
            if before != END {
                self.rerank(parts, before, at, queue);
            }
        }
        let mut at = 0;
        while at != END {
            out.push(parts[at as usize].id);
            at = links[at as usize].1;
        }
    }

    fn rerank(
        &self,
        parts: &mut [Part],
        left: u32,
        right: u32,
        queue: &mut BinaryHeap<Reverse<(u32, u32)>>,
    ) {
        let rank = self.rank(parts[left as usize].id, parts[right as usize].id);
        parts[left as usize].rank = rank;
        if rank != NONE {
            queue.push(Reverse((rank, left)));
        }
    }
}

impl Products {
    fn of(listed: Vec<u32>) -> Self {
        let first = listed.first().copied().unwrap_or(0);
        match listed.iter().zip(first..).all(|(&id, expected)| id == expected) {
            true => Self::InOrder(first),
            false => Self::Listed(listed),
        }
    }
}

/// A rank above a place.
#[inline]
fn key(rank: u32, place: usize) -> u32 {
    if rank == NONE { NONE } else { rank << PLACE_BITS | place as u32 }
}

/// The pair of each merge in its slot, and what each becomes.
fn read_pairs(known: &Vocabulary<'_>, merges: &str) -> Result<(Vec<u64>, Vec<u32>), String> {
    let (mut found, mut products): (Vec<u64>, Vec<u32>) = Default::default();
    let mut joined = String::new();
    let id = |token: &str| {
        known.get(token).copied().ok_or_else(|| format!("a merge of `{token}`, which is no token"))
    };
    read_merges(merges, |left, right| {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        if products.len() == MAX_MERGES {
            return Err(format!("more than {MAX_MERGES} merges"));
        }
        found.push(slot(id(left)?, id(right)?, products.len() as u32));
        products.push(id(&joined)?);
        Ok(())
    })?;
    Ok((found, products))
}

fn slot(left: u32, right: u32, rank: u32) -> u64 {
    u64::from(left) << 44 | u64::from(right) << 24 | u64::from(rank)
}

/// Tokens by their bytes.
fn spelled(known: &Vocabulary<'_>) -> HashMap<Box<[u8]>, u32, BuildHasherDefault<Hashed>> {
    let alphabet = Alphabet::default();
    let mut bytes = Vec::new();
    let mut whole = HashMap::with_capacity_and_hasher(known.len(), Default::default());
    for (token, &id) in known {
        if alphabet.spell(token, &mut bytes) {
            whole.insert(bytes.as_slice().into(), id);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::tables::byte_characters;
    use super::*;
    use proptest::prelude::*;

    const MERGES: &str = r#"["a b", "b b", "ab b", "a a", "aa aa", "b a", "c d", "bb c", "ab ab"]"#;

    /// A model of the letters, 0 for `a`, and of [`MERGES`], 256 for the first.
    fn model(whole: bool) -> Result<Bpe, String> {
        let mut names: Vec<String> =
            byte_characters().map(|(_, shown)| shown.to_string()).collect();
        read_merges(MERGES, |left, right| {
            names.push(format!("{left}{right}"));
            Ok(())
        })?;
        names.push("dcba".to_owned());
        let known: Vocabulary<'_> = names.into_iter().map(String::into).zip(0..).collect();
        let mut bytes = [0; 256];
        byte_characters().zip(0..).for_each(|((byte, _), id)| bytes[byte as usize] = id);
        Bpe::new(bytes, &known, MERGES, whole)
    }

    /// The rule as it is said.
    fn plain(bpe: &Bpe, word: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = word.iter().map(|&byte| bpe.bytes[byte as usize]).collect();
        loop {
            let ranks = ids.windows(2).map(|pair| bpe.rank(pair[0], pair[1]));
            match ranks.enumerate().min_by_key(|&(at, rank)| (rank, at)) {
                Some((at, rank)) if rank != NONE => {
                    ids[at] = bpe.product(rank);
                    ids.remove(at + 1);
                }
                _ => return ids,
            }
        }
    }

    proptest! {
        #[test]
        fn few_and_many_are_the_plain_rule(word in "[abcd]{1,200}") {
            let bpe = model(false).map_err(TestCaseError::fail)?;
            let (mut scratch, mut ids) = (MergeScratch::default(), Vec::new());
            bpe.encode(word.as_bytes(), &mut scratch, &mut ids);
            prop_assert_eq!(ids, plain(&bpe, word.as_bytes()));
        }
    }

    #[test]
    fn whole_words_come_first() -> Result<(), String> {
        let mut found = Vec::new();
        for whole in [false, true] {
            let mut ids = Vec::new();
            model(whole)?.encode(b"dcba", &mut MergeScratch::default(), &mut ids);
            found.push(ids.len());
        }
        assert_eq!(found, [3, 1]);
        Ok(())
    }

    #[test]
    fn refuses_merges_of_strangers() {
        let known = Vocabulary::default();
        assert!(Bpe::new([0; 256], &known, r#"["a b"]"#, false).is_err());
    }
}
