//! Turns a chunk of text into canonical and original columns, or into rejects.

use arrow_array::ArrayRef;

use crate::Result;
use crate::pool::canonical::{Canonical, CanonicalBuilder, Field, Wanted};
use crate::pool::chunk::{Chunk, Layout, too_long};
use crate::pool::columns::ColumnBuilder;
use crate::pool::infer::ColumnType;
use crate::pool::json::Value;
use crate::pool::keys::Keys;
use crate::pool::mapping::Mapping;
use crate::pool::records::lines;
use crate::pool::reject::Reject;

/// An original column that is asked for.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its name in the file.
    pub name: String,
    /// Its name in the batch.
    pub output: String,
    /// Its type.
    pub column: ColumnType,
}

/// What a reader is to make of a file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which columns say what.
    pub mapping: Mapping,
    /// Canonical columns that are asked for.
    pub wanted: Wanted,
    /// Original columns that are asked for.
    pub originals: Vec<Original>,
    /// The source of records that name none.
    pub source: String,
    /// Whether `source` overrides what records name.
    pub fixed_source: bool,
    /// Longest record, in bytes.
    pub max_bytes: usize,
}

/// What came of a chunk; ids are still to be made unique, in order.
#[derive(Debug)]
pub struct Parsed {
    /// Canonical columns.
    pub canonical: Canonical,
    /// Original columns that were asked for.
    pub originals: Vec<ArrayRef>,
    /// Line or row of each record.
    pub rows: Vec<u64>,
    /// What could not be used.
    pub rejects: Vec<Reject>,
    /// The text, for rejects that are found later.
    pub chunk: Chunk,
}

/// Parses a chunk.
///
/// # Errors
/// [`crate::Error::Data`] where one batch would hold more than 2 GiB of text.
pub fn parse(plan: &Plan, mut chunk: Chunk) -> Result<Parsed> {
    let mut rejects = std::mem::take(&mut chunk.rejects);
    let (mut canonical, mut originals) = builders(plan, chunk.data.len());
    let rows = match &chunk.layout {
        Layout::Fields { names, records } => {
            let mut rows = Vec::with_capacity(records.len());
            let table = CsvTable::new(plan, names);
            for (line, record) in records {
                match table.push(record, &mut canonical, &mut originals) {
                    Ok(()) => rows.push(*line),
                    Err(reject) => rejects.push(reject.at(*line, &csv_text(record))),
                }
            }
            rows
        }
        _ => parse_json(plan, &chunk, &mut canonical, &mut originals, &mut rejects),
    };
    rejects.sort_by_key(|reject| reject.line);
    let originals = originals.into_iter().map(ColumnBuilder::finish).collect();
    Ok(Parsed { canonical: canonical.finish()?, originals, rows, rejects, chunk })
}

fn builders(plan: &Plan, bytes: usize) -> (CanonicalBuilder<'_>, Vec<ColumnBuilder>) {
    let (source, fixed) = (&plan.source, plan.fixed_source);
    let canonical = CanonicalBuilder::new(&plan.mapping, plan.wanted, source, fixed, bytes);
    let originals = plan.originals.iter().map(|wanted| ColumnBuilder::new(wanted.column));
    (canonical, originals.collect())
}

fn parse_json(
    plan: &Plan,
    chunk: &Chunk,
    canonical: &mut CanonicalBuilder<'_>,
    originals: &mut [ColumnBuilder],
    rejects: &mut Vec<Reject>,
) -> Vec<u64> {
    let roles = plan.mapping.roles.iter().map(|role| role.column.clone());
    let mut keys = Keys::new(roles.chain(plan.originals.iter().map(|wanted| wanted.name.clone())));
    let number = |name: &str| keys.names().iter().position(|known| known == name).unwrap_or(0);
    let roles: Vec<usize> = plan.mapping.roles.iter().map(|role| number(&role.column)).collect();
    let wanted: Vec<usize> = plan.originals.iter().map(|wanted| number(&wanted.name)).collect();
    let lines = lines(chunk);
    let mut rows = Vec::with_capacity(lines.len());
    let mut slots: Vec<Option<Value<'_>>> = Vec::new();
    let mut fields: Vec<Field<'_>> = Vec::new();
    for (line, bytes) in lines {
        let outcome = scan(bytes, plan.max_bytes, &mut keys, &mut slots).and_then(|()| {
            fields.clear();
            let field = |&role: &usize| slots[role].map_or(Field::Absent, Field::Json);
            fields.extend(roles.iter().map(field));
            canonical.push(&fields)
        });
        match outcome {
            Ok(()) => {
                for (column, &slot) in originals.iter_mut().zip(&wanted) {
                    column.push(slots[slot].as_ref());
                }
                rows.push(line);
            }
            Err(reject) => rejects.push(reject.at(line, bytes)),
        }
    }
    rows
}

fn scan<'a>(
    bytes: &'a [u8],
    max_bytes: usize,
    keys: &mut Keys,
    slots: &mut Vec<Option<Value<'a>>>,
) -> std::result::Result<(), Reject> {
    if bytes.len() > max_bytes {
        return Err(too_long(0, b"", max_bytes));
    }
    let text = utf8(bytes)?;
    keys.scan(text, slots).map_err(|fault| Reject::from_fault(&fault, bytes))
}

fn utf8(bytes: &[u8]) -> std::result::Result<&str, Reject> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| {
        let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let byte = bytes.get(at).copied().unwrap_or_default();
        let got = format!("byte 0x{byte:02X} at column {}", at + 1);
        Reject::new("utf8", "UTF-8", got, "convert the file with iconv, or drop the line")
    })
}

/// Where the columns of a plan are in a CSV file.
struct CsvTable {
    roles: Vec<Option<usize>>,
    wanted: Vec<Option<usize>>,
    num_fields: usize,
}

impl CsvTable {
    fn new(plan: &Plan, names: &[String]) -> Self {
        let find = |name: &str| names.iter().position(|known| known == name);
        Self {
            roles: plan.mapping.roles.iter().map(|role| find(&role.column)).collect(),
            wanted: plan.originals.iter().map(|wanted| find(&wanted.name)).collect(),
            num_fields: names.len(),
        }
    }

    fn push(
        &self,
        record: &::csv::ByteRecord,
        canonical: &mut CanonicalBuilder<'_>,
        originals: &mut [ColumnBuilder],
    ) -> std::result::Result<(), Reject> {
        if record.len() != self.num_fields {
            let hint = "is a quote or a separator missing?";
            let (expected, got) = (self.num_fields, record.len());
            let expected = format!("{expected} fields, as in the header");
            return Err(Reject::new("csv", expected, format!("{got}"), hint));
        }
        let mut texts = Vec::with_capacity(record.len());
        for field in record {
            texts.push(utf8(field)?);
        }
        let fields: Vec<Field<'_>> = self
            .roles
            .iter()
            .map(|role| role.map_or(Field::Absent, |at| Field::Text(texts[at])))
            .collect();
        canonical.push(&fields)?;
        for (column, at) in originals.iter_mut().zip(&self.wanted) {
            column.push_text(at.map(|at| texts[at]));
        }
        Ok(())
    }
}

/// A CSV record as text for a reject.
pub fn csv_text(record: &::csv::ByteRecord) -> Vec<u8> {
    let fields: Vec<&[u8]> = record.iter().collect();
    fields.join(b",".as_slice())
}
