//! Hashes of words and of parts of words.

const SECOND: u64 = 0x8bb8_4b93_962e_acc9;
/// Bytes that are hashed at a time.
pub const BLOCK: usize = 16;

/// Hash of at least one byte, none of them NUL: of each 16, filled up with NUL, the two halves are multiplied to
/// 128 bits, which are folded to 64.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(BLOCK).fold(seed, |hash, chunk| {
        let mut block = [0; BLOCK];
        block[..chunk.len()].copy_from_slice(chunk);
        hash_block(hash, u128::from_le_bytes(block))
    })
}

/// The same for `bytes[start..end]`; faster where they are few and more follow.
#[inline]
pub fn hash_within(seed: u64, bytes: &[u8], start: usize, end: usize) -> u64 {
    match block_within(bytes, start, end) {
        Some(block) => hash_block(seed, block),
        None => hash(seed, &bytes[start..end]),
    }
}

/// `bytes[start..end]`, filled up with NUL: no branch on the length. `None` where they are more
/// than [`BLOCK`], or fewer follow `start`.
#[inline]
pub fn block_within(bytes: &[u8], start: usize, end: usize) -> Option<u128> {
    let block = *bytes.get(start..)?.first_chunk()?;
    Some(u128::from_le_bytes(block) & KEPT.get(end - start)?)
}

/// The hash of at most [`BLOCK`] bytes.
#[inline]
pub fn hash_block(seed: u64, block: u128) -> u64 {
    let (low, high) = (block as u64 ^ seed, (block >> 64) as u64 ^ SECOND);
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

/// Masks of the first n bytes.
static KEPT: [u128; BLOCK + 1] = {
    let mut kept = [u128::MAX; BLOCK + 1];
    let mut len = 0;
    while len < BLOCK {
        kept[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    kept
};

/// The finaliser of MurmurHash3: every bit of the input moves every bit of the output.
#[inline]
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree() {
        let bytes: Vec<u8> = (1..=100).collect();
        for start in [0, 50, 90] {
            for end in start + 1..bytes.len() {
                assert_eq!(hash_within(7, &bytes, start, end), hash(7, &bytes[start..end]));
            }
        }
    }

    #[test]
    fn neighbours_differ() {
        let words = ["a", "b", "aa", "ab", "ba", "abcdefgh", "abcdefghi", "abcdefghijklmnopq"];
        let mut hashes: Vec<u64> = words.iter().map(|word| hash(7, word.as_bytes())).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), words.len());
    }
}
