//! Turns a chunk of text into canonical and original columns, or into rejects.

use arrow_array::ArrayRef;

use crate::Result;
use crate::pool::canonical::{Field, Record, Sink, Wanted};
use crate::pool::chunk::{Chunk, Layout, too_long};
use crate::pool::columns::ColumnBuilder;
use crate::pool::ids::{ChunkIds, IdsBuilder};
use crate::pool::infer::ColumnType;
use crate::pool::json::{Scanner, Value};
use crate::pool::keys::Keys;
use crate::pool::mapping::Mapping;
use crate::pool::records::{Line, lines, utf8};
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
pub struct Parsed<M> {
    /// What the sink made.
    pub made: M,
    /// Ids as far as the chunk tells.
    pub ids: ChunkIds,
    /// Original columns that were asked for.
    pub originals: Vec<ArrayRef>,
    /// Line or row of each record.
    pub rows: Vec<u64>,
    /// What could not be used.
    pub rejects: Vec<Reject>,
    /// The text, for rejects that are found later.
    pub chunk: Chunk,
}

/// Parses a chunk into a sink.
///
/// # Errors
/// As [`Sink::finish`].
pub fn parse<S: Sink>(plan: &Plan, mut chunk: Chunk, sink: S) -> Result<Parsed<S::Made>> {
    let mut rejects = std::mem::take(&mut chunk.rejects);
    let mut taker = Taker::new(plan, sink);
    match &chunk.layout {
        Layout::Fields { names, records } => {
            let table = CsvTable::new(plan, names);
            for (line, record) in records {
                if let Err(reject) = table.push(*line, record, &mut taker) {
                    rejects.push(reject.at(*line, &csv_text(record)));
                }
            }
        }
        _ => parse_json(&chunk, &mut taker, &mut rejects),
    }
    rejects.sort_by_key(|reject| reject.line);
    let Taker { sink, ids, originals, rows, .. } = taker;
    let originals = originals.into_iter().map(ColumnBuilder::finish).collect();
    Ok(Parsed { made: sink.finish()?, ids: ids.finish(), originals, rows, rejects, chunk })
}

/// Takes records one by one, and all that is kept of them.
struct Taker<'p, S> {
    plan: &'p Plan,
    sink: S,
    ids: IdsBuilder,
    originals: Vec<ColumnBuilder>,
    rows: Vec<u64>,
}

impl<'p, S: Sink> Taker<'p, S> {
    fn new(plan: &'p Plan, sink: S) -> Self {
        let originals = plan.originals.iter().map(|wanted| ColumnBuilder::new(wanted.column));
        Self {
            plan,
            sink,
            ids: IdsBuilder::new(plan.wanted.id),
            originals: originals.collect(),
            rows: Vec::new(),
        }
    }

    fn push(&mut self, row: u64, fields: &[Field<'_>]) -> std::result::Result<(), Reject> {
        let record = Record::of(self.plan, fields)?;
        self.ids.push(&record);
        self.sink.push(&record);
        self.rows.push(row);
        Ok(())
    }
}

fn parse_json<S: Sink>(chunk: &Chunk, taker: &mut Taker<'_, S>, rejects: &mut Vec<Reject>) {
    let plan = taker.plan;
    let roles = plan.mapping.roles.iter().map(|role| role.column.clone());
    let mut keys = Keys::new(roles.chain(plan.originals.iter().map(|wanted| wanted.name.clone())));
    let number = |name: &str| keys.names().iter().position(|known| known == name).unwrap_or(0);
    let roles: Vec<usize> = plan.mapping.roles.iter().map(|role| number(&role.column)).collect();
    let wanted: Vec<usize> = plan.originals.iter().map(|wanted| number(&wanted.name)).collect();
    let mut slots: Vec<Option<Value<'_>>> = Vec::new();
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut scanner = Scanner::over(&chunk.data);
    for line in lines(chunk) {
        let outcome =
            scan(&line, plan.max_bytes, &mut scanner, &mut keys, &mut slots).and_then(|()| {
                fields.clear();
                let field = |&role: &usize| slots[role].map_or(Field::Absent, Field::Json);
                fields.extend(roles.iter().map(field));
                taker.push(line.number, &fields)
            });
        match outcome {
            Ok(()) => {
                for (column, &slot) in taker.originals.iter_mut().zip(&wanted) {
                    column.push(slots[slot].as_ref());
                }
            }
            Err(reject) => rejects.push(reject.at(line.number, line.bytes)),
        }
    }
}

fn scan<'a>(
    line: &Line<'a>,
    max_bytes: usize,
    scanner: &mut Scanner<'a>,
    keys: &mut Keys,
    slots: &mut Vec<Option<Value<'a>>>,
) -> std::result::Result<(), Reject> {
    if line.bytes.len() > max_bytes {
        return Err(too_long(0, b"", max_bytes));
    }
    scanner.enter(line.start, line.text()?);
    keys.scan(scanner, slots).map_err(|fault| Reject::from_fault(&fault, line.bytes))
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

    fn push<S: Sink>(
        &self,
        line: u64,
        record: &::csv::ByteRecord,
        taker: &mut Taker<'_, S>,
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
        taker.push(line, &fields)?;
        for (column, at) in taker.originals.iter_mut().zip(&self.wanted) {
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
