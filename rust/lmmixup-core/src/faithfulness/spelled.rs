//! Numbers in words.

use super::Lexicon;
use super::numbers::{Number, is_gap};
use super::values::Plain;

/// What the number words of one run come to at most.
const MOST: u128 = 10_u128.pow(24);

/// Numbers in a run of number words: *two thousand and five*, but *five, six* as two.
pub fn word_numbers(run: &[char], language: &Lexicon, found: &mut Vec<Number>) {
    let run: String = run.iter().collect();
    let mut sum = Sum::default();
    for word in run.split(is_gap).filter(|word| !word.is_empty() && *word != "and") {
        if let Some(&scale) = language.scales.get(word) {
            sum.scale(u128::from(scale));
        } else if let Some(&unit) = language.units.get(word) {
            if !sum.takes(u128::from(unit)) {
                found.extend(sum.finish());
            }
            sum.current += u128::from(unit);
            sum.last = u128::from(unit);
        }
        sum.taken.push(word);
    }
    found.extend(sum.finish());
}

/// A number in words as far as it was read.
#[derive(Default)]
struct Sum<'a> {
    taken: Vec<&'a str>,
    total: u128,
    current: u128,
    last: u128,
}

impl Sum<'_> {
    fn scale(&mut self, scale: u128) {
        let scaled = self.current.max(1) * scale;
        if matches!(scale, 12 | 100) {
            self.current = scaled.min(MOST);
        } else {
            self.total = (self.total + scaled).min(MOST);
            self.current = 0;
        }
        self.last = scale;
    }

    /// Whether a unit goes on with the number: *twenty-one*, but not *five six*.
    fn takes(&mut self, unit: u128) -> bool {
        let is_teen = (10..=20).contains(&self.last) && self.current == self.last;
        if self.total == 0 && is_teen && unit >= 20 {
            self.current *= 100; // a year: nineteen eighty-four
            return true;
        }
        let is_tens = (20..100).contains(&self.last) && unit < 10;
        self.taken.is_empty() || self.last >= 100 || is_tens
    }

    fn finish(&mut self) -> Option<Number> {
        let done = std::mem::take(self);
        if done.taken.is_empty() {
            return None;
        }
        let digits: Vec<char> = (done.total + done.current).to_string().chars().collect();
        let values = vec![Plain::new(&digits, &[]).hash(0, 1)];
        Some(Number { text: done.taken.join(" "), values })
    }
}
