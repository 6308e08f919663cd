//! Joins, MinHash, exact duplicates and contamination against brute force over plain windows.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use lmmixup_core::Progress;
use lmmixup_core::against::matches;
use lmmixup_core::exact::ExactPool;
use lmmixup_core::families::{Families, KeepRule};
use lmmixup_core::join::{Earlier, near_families};
use lmmixup_core::minhash::{MinHashOptions, minhash_families};
use lmmixup_core::pool::Store;
use lmmixup_core::text::{Normalization, ShingleOptions, ShingleUnit, TextPool};
use proptest::prelude::*;

type Set = HashSet<Vec<String>>;

const LONGEST: KeepRule<'_> = KeepRule { priority: None, longest: true, one: false, num_frozen: 0 };
const MINHASH: MinHashOptions =
    MinHashOptions { num_perm: 128, bands_and_rows: None, verify: true, seed: 7 };

fn batch(texts: &[String], ids: &[usize]) -> RecordBatch {
    // Prompt and completion part at a space: a cut inside a word would make two of it.
    let cut = |text: &String| {
        let mut spaces = text.char_indices().filter(|&(at, c)| c == ' ' && at <= text.len() / 2);
        let at = spaces.next_back();
        let (prompt, completion) = text.split_at(at.map_or(0, |(at, _)| at));
        (prompt.to_string(), completion.to_string())
    };
    let (prompts, completions): (Vec<_>, Vec<_>) = texts.iter().map(cut).unzip();
    let ids: Vec<_> = ids.iter().map(|id| format!("r{id}")).collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(StringArray::from(ids)) as _),
        ("prompt", Arc::new(StringArray::from(prompts)) as _),
        ("completion", Arc::new(StringArray::from(completions)) as _),
    ])
    .unwrap()
}

fn pool_of(texts: &[String], ids: &[usize], unit: ShingleUnit, n: usize) -> TextPool {
    let options = ShingleOptions { unit, num_tokens: n, normalization: Normalization::Lower };
    let mut pool = TextPool::new(options).unwrap();
    // Two batches, so that numbering goes on from one to the next.
    let middle = texts.len() / 2;
    for part in [0..middle, middle..texts.len()] {
        pool.push(&batch(&texts[part.clone()], &ids[part]), 2, &Progress::default()).unwrap();
    }
    pool
}

fn join(
    texts: &[String],
    n: usize,
    threshold: f64,
    rule: &KeepRule<'_>,
    threads: usize,
) -> Families {
    let ids: Vec<usize> = (0..texts.len()).collect();
    let pool = pool_of(texts, &ids, ShingleUnit::Word, n);
    near_families(&pool, threshold, rule, &Earlier::default(), threads, &Progress::default())
        .unwrap()
        .0
}

fn plain_sets(texts: &[String], n: usize) -> Vec<Set> {
    let set = |text: &String| {
        let words: Vec<String> =
            text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        if words.len() < n {
            words.first().map(|_| words.clone()).into_iter().collect()
        } else {
            words.windows(n).map(<[String]>::to_vec).collect()
        }
    };
    texts.iter().map(set).collect()
}

fn similarity(a: &Set, b: &Set) -> f64 {
    let common = a.intersection(b).count();
    let union = a.len() + b.len() - common;
    if union == 0 { 1.0 } else { common as f64 / union as f64 }
}

/// Families numbered by their first record.
fn truth(sets: &[Set], threshold: f64) -> Vec<u32> {
    let mut first: Vec<usize> = (0..sets.len()).collect();
    for a in 0..sets.len() {
        for b in 0..a {
            if first[a] != first[b] && similarity(&sets[a], &sets[b]) >= threshold {
                let (low, high) = (first[a].min(first[b]), first[a].max(first[b]));
                first.iter_mut().filter(|label| **label == high).for_each(|label| *label = low);
            }
        }
    }
    let mut seen: Vec<usize> = Vec::new();
    let mut number = |label: &usize| {
        seen.iter().position(|other| other == label).unwrap_or_else(|| {
            seen.push(*label);
            seen.len() - 1
        }) as u32
    };
    first.iter().map(&mut number).collect()
}

fn check_rule(families: &Families, sets: &[Set], threshold: f64) -> Result<(), TestCaseError> {
    for record in 0..sets.len() {
        if families.kept[record] {
            prop_assert_eq!(families.partner[record], -1);
            continue;
        }
        let partner = families.partner[record] as usize;
        prop_assert!(families.kept[partner]);
        prop_assert_eq!(families.family[record], families.family[partner]);
        prop_assert_eq!(families.similarity[record], similarity(&sets[record], &sets[partner]));
        prop_assert!(families.similarity[record] >= threshold);
    }
    let kept: Vec<usize> = (0..sets.len()).filter(|&at| families.kept[at]).collect();
    for (place, &a) in kept.iter().enumerate() {
        for &b in &kept[..place] {
            prop_assert!(similarity(&sets[a], &sets[b]) < threshold, "{} and {} both stay", a, b);
        }
    }
    Ok(())
}

/// Variations of a few bases over a small vocabulary.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        8 => (0u32..30).prop_map(|n| format!("w{n}")),
        1 => Just("Wörter".to_string()),
        1 => Just("用例".to_string()),
    ];
    let bases = prop::collection::vec(prop::collection::vec(word, 0..40), 1..5);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<[u16; 3]>()), 2..40);
    (bases, edits).prop_map(|(bases, edits)| {
        let vary = |(which, edit): (prop::sample::Index, [u16; 3])| {
            let mut words = which.get(&bases).clone();
            for change in edit.iter().take(usize::from(edit[0]) % 4) {
                let at = usize::from(*change) % (words.len() + 1);
                match change % 3 {
                    0 if at < words.len() => drop(words.remove(at)),
                    1 => words.insert(at, format!("x{}", change % 7)),
                    _ => words.truncate(at.max(2)),
                }
            }
            words.join(" ")
        };
        edits.into_iter().map(vary).collect()
    })
}

fn threshold() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.3), Just(0.5), Just(0.7), Just(0.8), Just(1.0), 0.05f64..1.0]
}

fn shown(families: &Families) -> String {
    // NaN of kept records is unequal to itself.
    format!("{families:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn join_is_brute_force(texts in texts(), n in 1usize..6, t in threshold()) {
        let sets = plain_sets(&texts, n);
        let families = join(&texts, n, t, &LONGEST, 1);
        prop_assert_eq!(&families.family, &truth(&sets, t));
        check_rule(&families, &sets, t)?;
        for threads in [2, 7] {
            prop_assert_eq!(shown(&families), shown(&join(&texts, n, t, &LONGEST, threads)));
        }
    }

    #[test]
    fn input_order_changes_nothing(
        texts in texts(), t in threshold(), seed in prop::collection::vec(any::<u32>(), 40),
    ) {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&at| seed[at]);
        let shuffled: Vec<String> = order.iter().map(|&at| texts[at].clone()).collect();
        let run = |texts: &[String], ids: &[usize]| {
            let pool = pool_of(texts, ids, ShingleUnit::Auto, 3);
            near_families(&pool, t, &LONGEST, &Earlier::default(), 2, &Progress::default())
                .unwrap().0
        };
        let plain = run(&texts, &(0..texts.len()).collect::<Vec<_>>());
        let other = run(&shuffled, &order);
        for (place, &record) in order.iter().enumerate() {
            prop_assert_eq!(plain.kept[record], other.kept[place]);
            if !plain.kept[record] {
                let partner = order[other.partner[place] as usize];
                prop_assert_eq!(plain.partner[record] as usize, partner);
            }
            for (there, &mate) in order.iter().enumerate() {
                prop_assert_eq!(
                    plain.family[record] == plain.family[mate],
                    other.family[place] == other.family[there]
                );
            }
        }
    }

    #[test]
    fn one_a_family_and_priorities(
        texts in texts(), t in threshold(), ranks in prop::collection::vec(-3i64..3, 40),
    ) {
        let priority = &ranks[..texts.len()];
        let rule = KeepRule { priority: Some(priority), longest: false, one: true, num_frozen: 0 };
        let families = join(&texts, 2, t, &rule, 2);
        let sets = plain_sets(&texts, 2);
        for family in 0..families.num_families as u32 {
            let members: Vec<usize> =
                (0..texts.len()).filter(|&at| families.family[at] == family).collect();
            let best = *members.iter().min_by_key(|&&at| (priority[at], at)).unwrap();
            for at in members {
                prop_assert_eq!(families.kept[at], at == best);
                if at != best {
                    prop_assert_eq!(families.partner[at] as usize, best);
                    prop_assert_eq!(families.similarity[at], similarity(&sets[at], &sets[best]));
                }
            }
        }
    }

    #[test]
    fn minhash_has_no_false_drop(texts in texts(), t in threshold()) {
        let ids: Vec<usize> = (0..texts.len()).collect();
        let pool = pool_of(&texts, &ids, ShingleUnit::Word, 2);
        let (rule, none) = (LONGEST, Earlier::default());
        let run = |threads| {
            minhash_families(&pool, t, &MINHASH, &rule, &none, threads, &Progress::default())
                .unwrap()
        };
        let families = run(1);
        let sets = plain_sets(&texts, 2);
        let exact = truth(&sets, t);
        for record in 0..texts.len() {
            if !families.kept[record] {
                let partner = families.partner[record] as usize;
                prop_assert!(families.kept[partner]);
                prop_assert!(similarity(&sets[record], &sets[partner]) >= t);
                prop_assert_eq!(exact[record], exact[partner]);
            }
        }
        prop_assert_eq!(shown(&families), shown(&run(7)));
    }

    #[test]
    fn matches_are_brute_force(texts in texts(), n in 1usize..4, share in 0usize..5) {
        let ids: Vec<usize> = (0..texts.len()).collect();
        let pool = pool_of(&texts, &ids, ShingleUnit::Word, n);
        let num_other = texts.len() * share / 4;
        let (of_other, of_pool) = matches(&pool, num_other, 2, &Progress::default()).unwrap();
        let sets = plain_sets(&texts, n);
        let (other, rest) = sets.split_at(num_other);
        let contained = |o: &Set, p: &Set| {
            if o.is_empty() { 0.0 } else { o.intersection(p).count() as f64 / o.len() as f64 }
        };
        for (at, o) in other.iter().enumerate() {
            let best = rest.iter().map(|p| contained(o, p)).fold(0.0, f64::max);
            prop_assert_eq!(of_other.containment[at], best);
            let nearest = rest.iter()
                .filter(|p| !o.is_empty() && !p.is_empty())
                .map(|p| similarity(o, p)).fold(0.0, f64::max);
            prop_assert_eq!(of_other.jaccard[at], nearest);
        }
        for (at, p) in rest.iter().enumerate() {
            let best = other.iter().map(|o| contained(o, p)).fold(0.0, f64::max);
            prop_assert_eq!(of_pool.containment[at], best);
            let first = other.iter().position(|o| contained(o, p) == best && best > 0.0);
            prop_assert_eq!(of_pool.container[at], first.map_or(-1, |first| first as i32));
        }
    }
}

#[test]
fn empty_pools_and_texts() {
    assert_eq!(join(&[], 5, 0.7, &LONGEST, 2).num_families, 0);
    let texts = ["", "  ", "one", "One ", "two"].map(str::to_string);
    let families = join(&texts, 5, 0.7, &LONGEST, 2);
    assert_eq!(families.family, [0, 0, 1, 1, 2]);
    assert_eq!(families.kept.iter().filter(|kept| **kept).count(), 3);
}

#[test]
fn added_records_never_displace_kept_ones() {
    let text = |last: &str| format!("a b c d e f g h i j k l m n o p q r s t {last}");
    let texts = [text("x"), "other words entirely here now".into(), text("x y z longer")];
    let pool = pool_of(&texts, &[0, 1, 2], ShingleUnit::Word, 3);
    let rule = KeepRule { num_frozen: 2, ..LONGEST };
    let earlier = Earlier { family: Some(&[5, 5, -1]), num_frozen: 2 };
    let (families, _) =
        near_families(&pool, 0.7, &rule, &earlier, 2, &Progress::default()).unwrap();
    assert_eq!(families.kept, [true, true, false]);
    assert_eq!(families.partner[2], 0);
    assert_eq!(families.num_families, 1);
}

#[test]
fn exact_families_by_normalisation() {
    let texts = ["A b  c", "a B c", "a b c", "a b d", "a b c"].map(str::to_string);
    // Prompt and completion are compared apart, so both are whole here.
    let column = || Arc::new(StringArray::from(texts.to_vec())) as _;
    let batch = RecordBatch::try_from_iter([("prompt", column()), ("completion", column())]);
    let batch = batch.unwrap();
    let run = |normalization, rule: &KeepRule<'_>| {
        let mut pool = ExactPool::new(normalization);
        pool.push(&batch, 2, &Progress::default()).unwrap();
        pool.families(rule, 2).unwrap()
    };
    let lower = run(Normalization::Lower, &LONGEST);
    assert_eq!(lower.family, [0, 0, 0, 1, 0]);
    assert_eq!(lower.kept, [true, false, false, true, false]);
    assert_eq!(lower.partner, [-1, 0, 0, -1, 0]);
    let first = KeepRule { longest: false, ..LONGEST };
    assert_eq!(run(Normalization::Raw, &first).family, [0, 1, 2, 3, 2]);
    assert_eq!(run(Normalization::Raw, &first).partner, [-1, -1, -1, -1, 2]);
}

#[test]
fn arguments_are_checked() {
    let mut pool = TextPool::new(ShingleOptions::default()).unwrap();
    for threshold in [0.0, -1.0, 1.1, f64::NAN] {
        let none = Earlier::default();
        let outcome = near_families(&pool, threshold, &LONGEST, &none, 1, &Progress::default());
        assert!(outcome.is_err(), "{threshold}");
    }
    assert!(TextPool::new(ShingleOptions { num_tokens: 0, ..ShingleOptions::default() }).is_err());
    let wide = MinHashOptions { bands_and_rows: Some((20, 10)), ..MINHASH };
    assert!(wide.bands_and_rows(0.7).is_err());
    assert_eq!(MINHASH.bands_and_rows(0.7).unwrap(), (25, 5));
    let other = RecordBatch::try_from_iter([("text", Arc::new(StringArray::from(vec!["a"])) as _)]);
    assert!(pool.push(&other.unwrap(), 1, &Progress::default()).is_err());
}

#[test]
fn a_cancelled_join_stops() {
    let texts: Vec<String> = (0..50).map(|n| format!("a b c d e f {n}")).collect();
    let ids: Vec<usize> = (0..50).collect();
    let pool = pool_of(&texts, &ids, ShingleUnit::Word, 2);
    let progress = Progress::default();
    progress.cancel();
    let outcome = near_families(&pool, 0.7, &LONGEST, &Earlier::default(), 2, &progress);
    assert!(matches!(outcome, Err(lmmixup_core::Error::Interrupted)));
}
