//! A template for one sequence of roles: literals with contents between them.
//!
//! The template is rendered with marks in place of contents. What stands between the marks is
//! the literals; how a mark with space around it comes out says how contents are trimmed. Two
//! more renders for each assistant turn, of the chat up to it and with it, say what of the
//! literals around its content belongs to the prompt and what to the answer.

use super::{Said, Template, python_trim};

/// What a template does to a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Nothing.
    Nothing,
    /// `str.strip()`
    Both,
    /// `str.lstrip('\n')`
    Newlines,
}

impl Trim {
    /// Applies it.
    pub fn of(self, text: &str) -> &str {
        match self {
            Self::Nothing => text,
            Self::Both => python_trim(text),
            Self::Newlines => text.trim_start_matches('\n'),
        }
    }
}

/// What is trained of an assistant turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The turn.
    pub turn: usize,
    /// Bytes of the literal before its content that belong to the prompt.
    pub before: usize,
    /// Bytes of the literal after its content that belong to the answer.
    pub after: usize,
}

/// A template for one sequence of roles.
#[derive(Clone, Debug)]
pub struct Shape {
    /// One more than there are turns: what stands before, between and after the contents.
    pub literals: Vec<String>,
    /// What becomes of each content.
    pub trims: Vec<Trim>,
    /// Assistant turns.
    pub answers: Vec<Span>,
}

/// A mark that no text has: noncharacters of Unicode around a number.
fn mark(turn: usize) -> String {
    format!("\u{fdd0}{turn}\u{fdd1}")
}

impl Shape {
    /// Takes a template apart for turns of these roles whose contents are not blank, or says why
    /// that cannot be done.
    ///
    /// # Errors
    /// A reason, such as what the template raised.
    pub fn of(template: &Template, roles: &[&str]) -> Result<Self, String> {
        let plain: Vec<String> = (0..roles.len()).map(mark).collect();
        let spaced: Vec<String> = plain.iter().map(|text| format!("\n {text} \n")).collect();
        let whole = render(template, roles, &plain, roles.len(), false)?;
        let literals = cut(&whole, roles.len())?;
        let around = cut(&render(template, roles, &spaced, roles.len(), false)?, roles.len())?;
        let trims = trims(&literals, &around)?;
        let mut answers = Vec::new();
        for (turn, _) in roles.iter().enumerate().filter(|(_, role)| **role == "assistant") {
            let opening = render(template, roles, &plain, turn, true)?;
            let opening = cut(&opening, turn)?.pop().unwrap_or_default();
            let closing = render(template, roles, &plain, turn + 1, false)?;
            let closing = cut(&closing, turn + 1)?.pop().unwrap_or_default();
            answers.push(Span {
                turn,
                before: common(&opening, &literals[turn]),
                after: common(&closing, &literals[turn + 1]),
            });
        }
        Ok(Self { literals, trims, answers })
    }

    /// Bytes of the text of a chat.
    pub fn length(&self, turns: &[Said<'_>]) -> usize {
        let literals: usize = self.literals.iter().map(String::len).sum();
        let contents =
            turns.iter().zip(&self.trims).map(|(said, trim)| trim.of(said.content).len());
        literals + contents.sum::<usize>()
    }

    /// The text of a chat.
    pub fn fill(&self, turns: &[Said<'_>]) -> String {
        let mut text = self.literals[0].clone();
        for (turn, said) in turns.iter().enumerate() {
            text.push_str(self.trims[turn].of(said.content));
            text.push_str(&self.literals[turn + 1]);
        }
        text
    }
}

fn render(
    template: &Template,
    roles: &[&str],
    contents: &[String],
    count: usize,
    prompts: bool,
) -> Result<String, String> {
    let turns: Vec<Said<'_>> = roles
        .iter()
        .zip(contents)
        .take(count)
        .map(|(role, content)| Said { role, content })
        .collect();
    template.render(&turns, prompts)
}

/// What stands around the marks, which must be there once each and in order.
fn cut(text: &str, count: usize) -> Result<Vec<String>, String> {
    let mut literals = Vec::with_capacity(count + 1);
    let mut rest = text;
    for turn in 0..count {
        let mark = mark(turn);
        let Some((literal, after)) = rest.split_once(&mark) else {
            return Err(format!("the content of turn {} does not come out as it is", turn + 1));
        };
        literals.push(literal.to_owned());
        rest = after;
    }
    literals.push(rest.to_owned());
    match literals.iter().any(|literal| literal.contains('\u{fdd0}')) {
        true => Err("a content comes out twice or in another order".to_owned()),
        false => Ok(literals),
    }
}

/// How contents are trimmed, from the literals around marks without and with space.
fn trims(plain: &[String], spaced: &[String]) -> Result<Vec<Trim>, String> {
    let count = plain.len() - 1;
    let mut trims = vec![Trim::Nothing; count];
    let forms = [(Trim::Nothing, "\n ", " \n"), (Trim::Both, "", ""), (Trim::Newlines, " ", " \n")];
    // A literal has the end of one content's space before it and the start of the next's after.
    let mut ends = vec![""];
    for turn in 0..count {
        let literal = &spaced[turn];
        let found = forms.iter().find_map(|&(trim, start, end)| {
            let before =
                ends.iter().find(|end| **literal == format!("{end}{}{start}", plain[turn]));
            before.map(|_| (trim, end))
        });
        let Some((trim, end)) = found else {
            return Err(format!("the content of turn {} is changed", turn + 1));
        };
        trims[turn] = trim;
        ends = vec![end];
    }
    match spaced[count] == format!("{}{}", ends[0], plain[count]) {
        true => Ok(trims),
        false => Err("the last content is changed".to_owned()),
    }
}

/// Bytes that two texts have in common at their beginning, at a boundary of characters.
pub fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(character, _)| character.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn shape(source: &str, roles: &[&str]) -> Result<Shape, String> {
        let template = Template::new(source, BTreeMap::new()).map_err(|error| error.to_string())?;
        Shape::of(&template, roles)
    }

    const TURNS: &str = "{% for m in messages %}<{{ m.role }}>\n{{ m.content | trim }}</s>\n\
        {% endfor %}{% if add_generation_prompt %}<assistant>\n{% endif %}";

    #[test]
    fn finds_literals_trims_and_answers() -> Result<(), String> {
        let shape = shape(TURNS, &["user", "assistant", "user", "assistant"])?;
        assert_eq!(shape.literals[1], "</s>\n<assistant>\n");
        assert_eq!(shape.trims, [Trim::Both; 4]);
        assert_eq!(shape.answers[0], Span { turn: 1, before: 17, after: 5 });
        assert_eq!(shape.answers[1], Span { turn: 3, before: 17, after: 5 });
        Ok(())
    }

    #[test]
    fn fills_as_the_template_renders() -> Result<(), String> {
        let template = Template::new(TURNS, BTreeMap::new()).map_err(|error| error.to_string())?;
        let turns =
            [Said { role: "user", content: " a\n" }, Said { role: "assistant", content: "b" }];
        let shape = Shape::of(&template, &["user", "assistant"])?;
        assert_eq!(shape.fill(&turns), template.render(&turns, false)?);
        Ok(())
    }

    #[test]
    fn says_what_does_not_specialise() {
        let upper = "{% for m in messages %}{{ m.content | replace('\u{fdd0}', '') }}{% endfor %}";
        assert!(shape(upper, &["user"]).is_err());
        let twice = "{{ messages[0].content }}{{ messages[0].content }}";
        assert!(shape(twice, &["user"]).is_err());
        assert!(shape("{{ raise_exception('no') }}", &["user"]).is_err());
    }
}
