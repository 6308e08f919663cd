//! Field names of records, found fast because records of a file look alike.

use std::collections::HashMap;

use crate::pool::json::{Escapes, Fault, Kind, Scanner, Value, unescape};

/// Numbers of field names, in order of first appearance.
#[derive(Debug, Default)]
pub struct Keys {
    names: Vec<String>,
    index: HashMap<String, usize>,
    /// The name seen last at each position of a record: the first guess for the next one.
    order: Vec<usize>,
}

impl Keys {
    /// A table that starts with `names`; later names get later numbers.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut keys = Self::default();
        for name in names {
            keys.number(&name);
        }
        keys
    }

    /// All names so far.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.index.get(name) {
            return number;
        }
        let number = self.names.len();
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), number);
        number
    }

    fn find(&mut self, position: usize, name: &str) -> usize {
        if let Some(&guess) = self.order.get(position)
            && self.names[guess] == name
        {
            return guess;
        }
        let number = self.number(name);
        if position < self.order.len() {
            self.order[position] = number;
        } else if position == self.order.len() {
            self.order.push(number);
        }
        number
    }

    /// Scans the record that `scanner` entered into `slots`, which is resized to the number of names. A name that
    /// stands twice keeps its last value, as in Python.
    ///
    /// # Errors
    /// The first [`Fault`]; `slots` is then meaningless.
    pub fn scan<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        slots: &mut Vec<Option<Value<'a>>>,
    ) -> Result<(), Fault> {
        slots.clear();
        slots.resize(self.names.len(), None);
        let mut position = 0;
        scanner.object(|name, escapes, value| {
            let number = match escapes {
                Escapes::None => self.find(position, name),
                _ => {
                    let name = Value { kind: Kind::String, text: name, escapes };
                    self.find(position, &unescape(&name))
                }
            };
            position += 1;
            if number >= slots.len() {
                slots.resize(number + 1, None);
            }
            slots[number] = Some(value);
        })?;
        scanner.end()
    }
}
