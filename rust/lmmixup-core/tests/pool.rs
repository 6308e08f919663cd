//! Readers on damaged files: no panic, no hang, every record accounted for, whatever the threads.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use flate2::{Compression, write::GzEncoder};
use lmmixup_core::Progress;
use lmmixup_core::exact::ExactPool;
use lmmixup_core::families::{Families, KeepRule};
use lmmixup_core::pool::canonical::Wanted;
use lmmixup_core::pool::infer::ColumnSeen;
use lmmixup_core::pool::json::Kind;
use lmmixup_core::pool::mapping::{IdRule, detect};
use lmmixup_core::pool::parse::Plan;
use lmmixup_core::pool::source::Format;
use lmmixup_core::pool::{Reader, Reject, Request, Store, scan_columns};
use lmmixup_core::text::Normalization;
use proptest::prelude::*;

const CSV: Format = Format::Csv { separator: b',' };
const MAX_BYTES: usize = 1 << 20;
const FIRST: KeepRule<'_> = KeepRule { priority: None, longest: false, one: false, num_frozen: 0 };

/// A file that is gone after the test.
struct File(PathBuf);

impl File {
    fn new(data: &[u8]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lmmixup-pool-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, data).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn request(path: &Path, format: Format, num_threads: usize) -> Request {
    let seen = |name: &str| ColumnSeen { name: name.into(), kinds: Kind::String.bit(), count: 1 };
    let columns = ["prompt", "completion", "id"].map(seen);
    let plan = Plan {
        mapping: detect(&columns, None, &vec![], IdRule::Auto).unwrap(),
        wanted: Wanted::of(["id", "prompt", "completion"]),
        originals: vec![],
        source: "test".into(),
        fixed_source: false,
        max_bytes: MAX_BYTES,
    };
    let keeper = Arc::new(Mutex::default());
    Request { path: path.to_owned(), format, plan, keeper, num_threads }
}

type Row = [String; 3];
type Place = (u64, &'static str, String);

fn places(rejects: &[Reject]) -> Vec<Place> {
    rejects.iter().map(|reject| (reject.line, reject.reason, reject.got.clone())).collect()
}

/// Records and rejects; `None` where the file as a whole is refused.
fn read(file: &File, format: Format, num_threads: usize) -> Option<(Vec<Row>, Vec<Place>)> {
    let progress = Progress::default();
    let (mut rows, mut rejects) = (vec![], vec![]);
    let mut reader = Reader::open(request(&file.0, format, num_threads)).ok()?;
    while let Some(batch) = reader.next_batch(&progress).unwrap() {
        let columns = ["id", "prompt", "completion"]
            .map(|name| batch.batch.column_by_name(name).unwrap().as_string::<i32>().clone());
        rows.extend((0..batch.batch.num_rows()).map(|at| {
            let value = |column: usize| columns[column].value(at).to_owned();
            [value(0), value(1), value(2)]
        }));
        rejects.extend(places(&batch.rejects));
    }
    Some((rows, rejects))
}

/// Exact families of the file, read without Arrow, and the rejects on the way.
fn feed(file: &File, format: Format) -> Option<(Families, Vec<Place>)> {
    let progress = Progress::default();
    let mut pool = ExactPool::new(Normalization::Raw);
    let mut reader = pool.open(request(&file.0, format, 2)).ok()?;
    let mut rejects = vec![];
    while let Some(more) = pool.read(&mut reader, &progress).unwrap() {
        rejects.extend(places(&more));
    }
    Some((pool.families(&FIRST, 2).unwrap(), rejects))
}

/// Exact families of records that come as a batch, which has no escapes.
fn push(rows: &[Row]) -> Vec<u32> {
    let column = |at: usize| {
        let texts = rows.iter().map(|row| row[at].as_str());
        Arc::new(StringArray::from_iter_values(texts)) as ArrayRef
    };
    let names = [("id", column(0)), ("prompt", column(1)), ("completion", column(2))];
    let mut pool = ExactPool::new(Normalization::Raw);
    pool.push(&RecordBatch::try_from_iter(names).unwrap(), 2, &Progress::default()).unwrap();
    pool.families(&FIRST, 2).unwrap().family
}

/// What every way to read a file must agree on. Gives the numbers of records and rejects.
fn check(file: &File, format: Format) -> Option<(usize, usize)> {
    let _ = scan_columns(&file.0, format, MAX_BYTES, false, 2, &Progress::default());
    let one = read(file, format, 1);
    assert_eq!(one, read(file, format, 3));
    let fed = feed(file, format);
    let (Some((rows, rejects)), Some((families, same_rejects))) = (&one, &fed) else {
        assert!(one.is_none() && fed.is_none());
        return None;
    };
    assert_eq!(rejects, same_rejects);
    assert_eq!(rows.len(), families.family.len());
    for (at, &family) in families.family.iter().enumerate() {
        let first = families.family.iter().position(|&other| other == family);
        assert_eq!(first, rows.iter().position(|other| other[1..] == rows[at][1..]));
    }
    assert_eq!(push(rows), families.family);
    Some((rows.len(), rejects.len()))
}

fn lines() -> impl Strategy<Value = Vec<&'static str>> {
    let line = prop::sample::select(vec![
        r#"{"prompt": "p", "completion": "c"}"#,
        r#"{"id": "a", "prompt": "What is 2 + 2?", "completion": "4\n\"four\""}"#,
        r#"{"id": "b", "prompt": "用Rust写", "completion": "\u00e9\ud83d\ude00 é", "x": [1, {"y": null}]}"#,
        r#"{"prompt": "p", "completion": "c", "n": -1.5e3, "m": 12345678901234567890, "t": true}"#,
        r#" { "completion" : "" , "prompt" : "a\\b\/c" , "prompt" : "last", "x": [ ] } "#,
        r#"{"prompt": ["p"], "completion": "c"}"#,
        r#"{"prompt": "only"}"#,
        "",
        "  \t",
    ]);
    prop::collection::vec(line, 1..20)
}

type Changes = Vec<(prop::sample::Index, usize, Vec<u8>)>;

fn changes() -> impl Strategy<Value = Changes> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(br#"{}[]",:\u0 -e."#.to_vec()),
        Just(b'\n'),
        Just(b'\r')
    ];
    let piece = prop::collection::vec(byte, 0..4);
    prop::collection::vec((any::<prop::sample::Index>(), 0..3usize, piece), 0..5)
}

/// Replaces pieces of the data: shorter, longer, or of the same length.
fn mutate(data: &mut Vec<u8>, changes: &Changes) {
    for (place, length, piece) in changes {
        let at = place.index(data.len() + 1);
        let end = data.len().min(at + length);
        data.splice(at..end, piece.iter().copied());
    }
}

fn packed(data: &[u8], with_zstd: bool) -> Vec<u8> {
    if with_zstd {
        return zstd::encode_all(data, 3).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #[test]
    fn mutated_lines(lines in lines(), changes in changes()) {
        let mut data = lines.join("\n").into_bytes();
        mutate(&mut data, &changes);
        let text = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&data);
        let is_blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
        let expected = text.split(|&byte| byte == b'\n').filter(|line| !is_blank(line)).count();
        let counts = check(&File::new(&data), Format::Jsonl);
        prop_assert_eq!(counts.map_or(0, |(records, rejects)| records + rejects), expected);
    }

    #[test]
    fn mutated_lists(lines in lines(), changes in changes()) {
        let elements: Vec<&str> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
        let mut data = format!("[{}]", elements.join(", ")).into_bytes();
        let counts = check(&File::new(&data), Format::JsonArray);
        prop_assert_eq!(counts.map(|(records, rejects)| records + rejects), Some(elements.len()));
        mutate(&mut data, &changes);
        check(&File::new(&data), Format::JsonArray);
    }

    #[test]
    fn mutated_csv(fields in prop::collection::vec("[a-z\",\n é]{0,6}", 0..20), changes in changes()) {
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let rows: Vec<String> =
            fields.chunks_exact(2).map(|row| format!("{},{}\n", quoted(&row[0]), quoted(&row[1]))).collect();
        let mut data = format!("prompt,completion\n{}", rows.concat()).into_bytes();
        prop_assert_eq!(check(&File::new(&data), CSV), Some((rows.len(), 0)));
        mutate(&mut data, &changes);
        check(&File::new(&data), CSV);
    }

    #[test]
    fn random_bytes(data in prop::collection::vec(any::<u8>(), 1..300)) {
        for format in [Format::Jsonl, Format::JsonArray, CSV] {
            check(&File::new(&data), format);
        }
    }

    #[test]
    fn truncated_archives(count in 1..400usize, cut in any::<prop::sample::Index>(), with_zstd: bool) {
        let line = |at| format!("{{\"prompt\": \"{}\", \"completion\": \"c\"}}\n", at * 7919);
        let whole: String = (0..count).map(line).collect();
        let mut data = packed(whole.as_bytes(), with_zstd);
        data.truncate(1 + cut.index(data.len()));
        let is_cut = data.len() < packed(whole.as_bytes(), with_zstd).len();
        // With fewer bytes nothing says that this is an archive.
        prop_assume!(data.len() >= 4);
        let file = File::new(&data);
        check(&file, Format::Jsonl);
        let Some((rows, rejects)) = read(&file, Format::Jsonl, 2) else { return Ok(()) };
        prop_assert!(rows.iter().enumerate().all(|(at, row)| row[1] == (at * 7919).to_string()));
        if is_cut {
            // A zstd frame may end, whole, before its last bytes: then nothing is missing.
            prop_assert!(rejects.len() == 1 || rows.len() == count);
            prop_assert!(rejects.iter().all(|place| place.1 == "truncated" && place.0 as usize == rows.len() + 1));
        } else {
            prop_assert_eq!((rows.len(), rejects.len()), (count, 0));
        }
    }

    #[test]
    fn damaged_archives(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4), with_zstd: bool) {
        let whole: String = (0..300).map(|at| format!("{{\"prompt\": \"p{}\", \"completion\": \"\"}}\n", at * 31)).collect();
        let mut data = packed(whole.as_bytes(), with_zstd);
        for flip in flips {
            let at = 4 + flip.index(data.len() - 4);
            data[at] ^= 0x10;
        }
        let file = File::new(&data);
        let Some((rows, rejects)) = read(&file, Format::Jsonl, 2) else { return Ok(()) };
        // gzip has a checksum, so damage is said; a zstd frame need not have one.
        let whole = rows.len() == 300 && rows.iter().enumerate().all(|(at, row)| row[1] == format!("p{}", at * 31));
        prop_assert!(with_zstd || whole || !rejects.is_empty(), "{} rows, no reject", rows.len());
    }
}

#[test]
fn lines_across_chunks() {
    // Lengths that put line ends all over the places where a chunk is cut.
    let texts: Vec<String> =
        (0..60).map(|at| format!("{at} {}", "wörd ".repeat(at * 631 % 30_011))).collect();
    let line = |text: &String| format!("{{\"prompt\": \"{text}\", \"completion\": \"\"}}\r\n");
    let data: String = texts.iter().map(line).collect();
    assert!(data.len() > 2 * (2 << 20));
    let file = File::new(data.as_bytes());
    let (rows, rejects) = read(&file, Format::Jsonl, 3).unwrap();
    assert!(rejects.is_empty());
    assert!(rows.iter().map(|row| &row[1]).eq(&texts));
}

#[test]
fn one_text_is_one_family_however_it_is_written() {
    let bodies = [r#"a\/\"\\\n\té"#, r#"a/\u0022\u005C\u000a\u0009\u00e9"#, r#"\u0061/\"\\\n\té"#];
    let line = |body: &&str| format!(r#"{{"prompt": "{body}", "completion": "\u0001{body}"}}"#);
    let file = File::new(bodies.iter().map(line).collect::<Vec<_>>().join("\n").as_bytes());
    assert_eq!(check(&file, Format::Jsonl), Some((3, 0)));
    assert_eq!(feed(&file, Format::Jsonl).unwrap().0.family, [0, 0, 0]);
}

#[test]
fn a_repeated_id_is_rejected_in_both_ways_of_reading() {
    let line = |id: usize| format!("{{\"id\": {id}, \"prompt\": \"p\", \"completion\": \"c\"}}\n");
    let data: String = (0..5000).map(|at| line(at % 4990)).collect();
    let file = File::new(data.as_bytes());
    assert_eq!(check(&file, Format::Jsonl), Some((4990, 10)));
    let (_, rejects) = read(&file, Format::Jsonl, 2).unwrap();
    assert_eq!(rejects[0], (4991, "id", "`0` again".to_owned()));
}
