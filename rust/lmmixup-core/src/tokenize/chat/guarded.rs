//! Chats with the text of a special token in a content, which stays text.

use std::ops::Range;

use super::{Chat, ChatScratch, Drop, dropped};
use crate::Result;
use crate::template::Said;

/// Noncharacters that stand for the first character of a special token's text in a content.
const GUARDS: Range<u32> = 0xfdd2..0xfdf0;

impl Chat {
    /// A chat that holds texts of special tokens: a noncharacter takes the place of their first
    /// character until the special tokens of the template are found.
    pub(super) fn encode_guarded(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<std::result::Result<bool, Drop>> {
        let mut guards = GUARDS.filter_map(char::from_u32);
        let guard = guards.find(|&guard| turns.iter().all(|turn| !turn.content.contains(guard)));
        let (Some(guard), Some(first)) = (guard, self.first_of_specials()) else {
            let detail = "special tokens of several first characters, or all noncharacters used";
            return Ok(Err(dropped("special-in-text", detail)));
        };
        let contents: Vec<String> = turns
            .iter()
            .map(|turn| {
                let mut content = turn.content.to_owned();
                for (special, _) in self.encoder.specials() {
                    let hidden = format!("{guard}{}", &special[first.len_utf8()..]);
                    content = content.replace(special.as_str(), &hidden);
                }
                content
            })
            .collect();
        let turns: Vec<Said<'_>> = turns
            .iter()
            .zip(&contents)
            .map(|(turn, content)| Said { role: turn.role, content })
            .collect();
        let known = self.shape(&turns, scratch)?;
        match self.text(known.as_deref(), &turns)? {
            Ok(text) => {
                self.encoder.encode_text(&text, Some((guard, first)), scratch, out)?;
                Ok(Ok(true))
            }
            Err(drop) => Ok(Err(drop)),
        }
    }

    /// The character that all special tokens begin with.
    fn first_of_specials(&self) -> Option<char> {
        let mut firsts = self.encoder.specials().iter().filter_map(|(text, _)| text.chars().next());
        let first = firsts.next()?;
        firsts.all(|other| other == first).then_some(first)
    }
}
