//! Which columns of a pool say what: its schema, detected or named.

use crate::pool::infer::{ColumnSeen, has_list, has_text};
use crate::{Error, Result};

/// The schemas that have a name, in the order in which they are looked for.
pub const SCHEMAS: [&str; 5] = ["messages", "sharegpt", "mixture", "alpaca", "prompt_completion"];

/// What a column that plays a part must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A string in every record.
    Text,
    /// A string, or null, or nothing.
    OptionalText,
    /// A list of turns in every record.
    Turns,
    /// Anything, or nothing; it becomes text.
    Any,
}

/// One column and what it must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Name of the column.
    pub column: String,
    /// What it must hold.
    pub need: Need,
}

/// How ids come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// The record's own where it has one, else from its content.
    Auto,
    /// The record's own; a record without one is rejected.
    Column,
    /// From the content.
    Content,
}

/// How records become conversations. Positions are indices into [`Mapping::roles`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Texts: the prompt joins the first `num_prompts` roles, the completion is the next.
    Pair {
        /// How many roles make the prompt.
        num_prompts: usize,
    },
    /// Role 0 holds the turns.
    Chat,
    /// Roles 0 and 1 hold the turns of prompt and completion.
    TwoChats,
}

/// Which columns say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Name of the schema; `columns` where the user named columns.
    pub schema: String,
    /// How the first roles become a conversation.
    pub shape: Shape,
    /// All columns that are read, in a fixed order: conversation, then the four below.
    pub roles: Vec<Role>,
    /// How ids come about.
    pub ids: IdRule,
    /// Index of the system prompt's role.
    pub system: usize,
    /// Index of the id's role.
    pub id: usize,
    /// Index of the source's role.
    pub source: usize,
    /// Index of the task type's role.
    pub task_type: usize,
}

/// What the user said about columns, as `(part, columns)`; a prompt may join several.
pub type Named = Vec<(String, Vec<String>)>;

/// Finds the mapping of a file whose columns are given.
///
/// # Errors
/// [`Error::Argument`] for an unknown schema or part, [`Error::Data`] where columns are missing
/// or no schema fits.
pub fn detect(
    columns: &[ColumnSeen],
    schema: Option<&str>,
    named: &Named,
    ids: IdRule,
) -> Result<Mapping> {
    let wanted = |part: &str| named.iter().find(|(name, _)| name == part).map(|(_, names)| names);
    for (part, _) in named {
        let parts = ["prompt", "completion", "messages", "system", "id", "source", "task_type"];
        if !parts.contains(&part.as_str()) {
            return Err(Error::Argument(format!(
                "--columns: expected parts among {}, got `{part}`",
                parts.join(", ")
            )));
        }
    }
    let (schema, shape, mut roles) = conversation(columns, schema, named)?;
    let one = |part: &str| {
        wanted(part).and_then(|names| names.first()).cloned().unwrap_or_else(|| part.to_owned())
    };
    let system = roles.len();
    // In a pool of whole conversations the system turn is usually inside; a column of its own
    // is used where it exists.
    roles.push(Role { column: one("system"), need: Need::OptionalText });
    for part in ["id", "source", "task_type"] {
        roles.push(Role { column: one(part), need: Need::Any });
    }
    let (id, source, task_type) = (system + 1, system + 2, system + 3);
    Ok(Mapping { schema, shape, roles, ids, system, id, source, task_type })
}

type Conversation = (String, Shape, Vec<Role>);

fn conversation(
    columns: &[ColumnSeen],
    schema: Option<&str>,
    named: &Named,
) -> Result<Conversation> {
    let part = |name: &str| named.iter().find(|(part, _)| part == name).map(|(_, names)| names);
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    if let Some(names) = part("messages") {
        require(columns, names)?;
        return Ok(("columns".to_owned(), Shape::Chat, roles(names, Need::Turns)));
    }
    if let (Some(prompt), Some(completion)) = (part("prompt"), part("completion")) {
        require(columns, prompt)?;
        require(columns, completion)?;
        return Ok(pair("columns", columns, prompt, &completion[..1], &[]));
    }
    if part("prompt").is_some() || part("completion").is_some() {
        return Err(Error::Argument(
            "--columns: expected both prompt=… and completion=…, or messages=…, got one of the two"
                .to_owned(),
        ));
    }
    if let Some(name) = schema
        && !SCHEMAS.contains(&name)
    {
        let all = SCHEMAS.join(", ");
        return Err(Error::Argument(format!("--schema: expected one of {all}, got `{name}`")));
    }
    for name in SCHEMAS.into_iter().filter(|name| schema.is_none_or(|wanted| wanted == *name)) {
        if let Some(found) = try_schema(name, columns, &has) {
            return Ok(found);
        }
    }
    if columns.is_empty() {
        return Err(Error::Data(
            "expected records, got no readable record; is it the file that its name says? JSONL \
             has one object `{…}` a line"
                .to_owned(),
        ));
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).take(20).collect();
    let expected = match schema {
        Some(name) => format!("the columns of schema {name} ({})", needs_of(name)),
        None => "columns of a known schema (messages; conversations; instruction, output; \
                 prompt, completion)"
            .to_owned(),
    };
    Err(Error::Data(format!(
        "expected {expected}, got {}; name yours, for example \
         --columns prompt=question,completion=answer",
        names.join(", "),
    )))
}

fn try_schema(
    name: &str,
    columns: &[ColumnSeen],
    has: &dyn Fn(&str) -> bool,
) -> Option<Conversation> {
    let first = |names: &[&str]| names.iter().find(|name| has(name)).map(|name| (*name).to_owned());
    let text = |name: &str| name.to_owned();
    match name {
        "messages" | "sharegpt" => {
            let column = match name {
                "messages" => first(&["messages"])?,
                _ => first(&["conversations", "conversation"])?,
            };
            Some((text(name), Shape::Chat, roles(&[column], Need::Turns)))
        }
        "mixture" if has("cot") && has("instruction") && has("output") => {
            Some(pair(name, columns, &[text("instruction")], &[text("output")], &[text("input")]))
        }
        "alpaca" if has("instruction") => {
            let completion = first(&["output", "answer", "response", "completion"])?;
            Some(pair(name, columns, &[text("instruction")], &[completion], &[text("input")]))
        }
        "prompt_completion" if has("prompt") => {
            let completion = first(&["completion", "response", "answer", "output"])?;
            Some(pair(name, columns, &[text("prompt")], &[completion], &[]))
        }
        _ => None,
    }
}

fn needs_of(schema: &str) -> &'static str {
    match schema {
        "messages" => "messages",
        "sharegpt" => "conversations",
        "mixture" => "instruction, input, output, cot",
        "alpaca" => "instruction, and one of output, answer, response",
        _ => "prompt, and one of completion, response, answer",
    }
}

fn pair(
    schema: &str,
    columns: &[ColumnSeen],
    prompt: &[String],
    completion: &[String],
    optional: &[String],
) -> Conversation {
    let kinds = |name: &String| {
        columns.iter().find(|column| &column.name == name).map_or(0, |column| column.kinds)
    };
    let all_lists = [&prompt[..1], completion]
        .concat()
        .iter()
        .all(|name| has_list(kinds(name)) && !has_text(kinds(name)));
    if prompt.len() == 1 && optional.is_empty() && all_lists {
        let names = [prompt, completion].concat();
        return (schema.to_owned(), Shape::TwoChats, roles(&names, Need::Turns));
    }
    let mut all = roles(prompt, Need::Text);
    all.extend(roles(optional, Need::OptionalText));
    let num_prompts = all.len();
    all.extend(roles(completion, Need::Text));
    (schema.to_owned(), Shape::Pair { num_prompts }, all)
}

fn roles(names: &[String], need: Need) -> Vec<Role> {
    names.iter().map(|name| Role { column: name.clone(), need }).collect()
}

fn require(columns: &[ColumnSeen], names: &[String]) -> Result<()> {
    for name in names {
        if !columns.iter().any(|column| &column.name == name) {
            let all: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Error::Data(format!(
                "--columns: expected a column `{name}`, got {}",
                all.join(", ")
            )));
        }
    }
    Ok(())
}
