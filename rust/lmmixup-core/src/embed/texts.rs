//! Strings of an Arrow column, whichever of the three string types it has.

use arrow_array::{Array, LargeStringArray, StringArray, StringViewArray};
use arrow_schema::DataType;

use crate::{Error, Result};

/// A borrowed Arrow string column. A null counts as the empty text.
#[derive(Clone, Copy, Debug)]
pub enum Texts<'a> {
    /// `string`
    Utf8(&'a StringArray),
    /// `large_string`
    Large(&'a LargeStringArray),
    /// `string_view`
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    /// Looks at `array` as texts.
    ///
    /// # Errors
    /// [`Error::Data`] where it is not a string column.
    pub fn new(array: &'a dyn Array) -> Result<Self> {
        let any = array.as_any();
        let texts = match array.data_type() {
            DataType::Utf8 => any.downcast_ref().map(Self::Utf8),
            DataType::LargeUtf8 => any.downcast_ref().map(Self::Large),
            DataType::Utf8View => any.downcast_ref().map(Self::View),
            _ => None,
        };
        texts.ok_or_else(|| {
            Error::Data(format!(
                "texts must be a string column, got {}; cast it with `array.cast(pyarrow.string())`",
                array.data_type()
            ))
        })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        match self {
            Self::Utf8(array) => array.len(),
            Self::Large(array) => array.len(),
            Self::View(array) => array.len(),
        }
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text `row`; empty for a null.
    pub fn get(&self, row: usize) -> &'a str {
        match self {
            Self::Utf8(array) if array.is_valid(row) => array.value(row),
            Self::Large(array) if array.is_valid(row) => array.value(row),
            Self::View(array) if array.is_valid(row) => array.value(row),
            _ => "",
        }
    }
}

/// Checks that `indptr` cuts a column into one run a record.
///
/// # Errors
/// [`Error::Argument`] where it does not.
pub(crate) fn check_indptr(indptr: &[i64], num_records: usize, num_texts: usize) -> Result<()> {
    let is_whole = indptr.len() == num_records + 1
        && indptr[0] == 0
        && indptr[num_records] == num_texts as i64
        && indptr.is_sorted();
    if is_whole {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "indptr must have {} ascending numbers from 0 to {num_texts}, one more than records, \
         got {} from {:?} to {:?}",
        num_records + 1,
        indptr.len(),
        indptr.first(),
        indptr.last(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int32Array;

    #[test]
    fn reads_the_three_string_types_and_nulls() -> Result<()> {
        let values = vec![Some("a"), None, Some("čau")];
        let utf8 = StringArray::from(values.clone());
        let large = LargeStringArray::from(values.clone());
        let view = StringViewArray::from(values);
        for texts in [Texts::new(&utf8)?, Texts::new(&large)?, Texts::new(&view)?] {
            let read: Vec<&str> = (0..texts.len()).map(|row| texts.get(row)).collect();
            assert_eq!(read, ["a", "", "čau"]);
        }
        Ok(())
    }

    #[test]
    fn refuses_other_types() {
        let numbers = Int32Array::from(vec![1]);
        assert!(
            matches!(Texts::new(&numbers), Err(Error::Data(message)) if message.contains("Int32"))
        );
    }
}
