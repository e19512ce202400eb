//! What a model hears of a long conversation: the newest messages whole, the rest as notes.

use super::{Message, Summary};

/// Messages that a model hears whole, at most.
pub(super) const WINDOW: usize = 24;
/// Bytes of them, at most; about four bytes are a token.
const WINDOW_BYTES: usize = 12_000;
/// Messages that leave the window together: notes are written once for all of them.
const LEAVING: usize = 16;
/// Messages read of a conversation: the window and what may be leaving it.
pub(super) const READ: usize = WINDOW + 2 * LEAVING;
/// The longest notes, in characters.
const NOTES: usize = 1_200;

/// A conversation's newest messages, parted.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Heard whole, oldest first.
    pub heard: Vec<Message>,
    /// Older, and in no notes yet; not empty only when it is time to write some.
    pub leaving: Vec<Message>,
}

impl Window {
    /// Parts `messages` (oldest first) by what the notes cover and what the window holds.
    pub(super) fn of(messages: Vec<Message>, summary: Option<&Summary>) -> Self {
        let covered = summary.map_or(0, |summary| summary.through);
        let fresh: Vec<Message> = messages.into_iter().filter(|message| message.number > covered).collect();
        let mut bytes = 0;
        let fitting = fresh
            .iter()
            .rev()
            .take(WINDOW)
            .take_while(|message| {
                bytes += message.content.len();
                bytes <= WINDOW_BYTES
            })
            .count();
        // What does not fit is heard until there is enough of it for notes, unless it is too long.
        let mut older = fresh;
        let heard = older.split_off(older.len() - fitting);
        if older.len() >= LEAVING || bytes > WINDOW_BYTES {
            return Self { heard, leaving: older };
        }
        older.extend(heard);
        Self { heard: older, leaving: Vec::new() }
    }

    /// Notes without a model: what was said last of what leaves, shortened. Kept when no model wrote any in time.
    pub(super) fn plain_notes(&self, before: Option<&Summary>) -> Option<Summary> {
        let last = self.leaving.last()?;
        let mut notes = before.map(|summary| summary.text.clone()).unwrap_or_default();
        for message in &self.leaving {
            let first: String = message
                .content
                .split_inclusive(['.', '!', '?', '\n'])
                .next()
                .unwrap_or_default()
                .trim()
                .chars()
                .take(120)
                .collect();
            let who = if message.role == super::Author::User { "Visitor" } else { "You" };
            notes.extend(["\n- ", who, ": ", &first]);
        }
        Some(Summary { text: newest(&notes), through: last.number })
    }

    /// Notes that a model wrote.
    pub(super) fn notes(&self, text: &str) -> Option<Summary> {
        let text = text.trim();
        let last = self.leaving.last().filter(|_| !text.is_empty())?;
        Some(Summary { text: newest(text), through: last.number })
    }
}

/// The end of a text that has grown too long, from the beginning of a line.
fn newest(text: &str) -> String {
    let excess = text.chars().count().saturating_sub(NOTES);
    let kept: String = text.chars().skip(excess).collect();
    match kept.split_once('\n') {
        Some((_, whole)) if excess > 0 => whole.to_owned(),
        _ => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conversation::Author,
        id::{MessageId, RunId},
    };

    fn messages(count: u64, length: usize) -> Vec<Message> {
        let message = |number| Message {
            id: MessageId::new(),
            number,
            role: if number % 2 == 1 { Author::User } else { Author::Assistant },
            content: "x".repeat(length),
            run_id: RunId::new(),
            report: None,
            created_at: String::new(),
        };
        (1..=count).map(message).collect()
    }

    fn notes(through: u64) -> Summary {
        Summary { text: "They met.".to_owned(), through }
    }

    #[test]
    fn a_short_conversation_is_heard_whole() {
        let window = Window::of(messages(30, 40), None);
        assert_eq!((window.heard.len(), window.leaving.len()), (30, 0));
    }

    #[test]
    fn what_leaves_the_window_leaves_together() {
        let window = Window::of(messages(40, 40), None);
        assert_eq!((window.heard.len(), window.leaving.len()), (24, 16));
        assert_eq!(window.leaving.last().map(|message| message.number), Some(16));
        let next = Window::of(messages(42, 40), Some(&notes(16)));
        assert_eq!((next.heard.len(), next.leaving.len()), (26, 0));
    }

    #[test]
    fn long_messages_leave_earlier() {
        let window = Window::of(messages(10, 3_000), None);
        assert_eq!((window.heard.len(), window.leaving.len()), (4, 6));
    }

    #[test]
    fn plain_notes_cover_what_left_and_stay_short() {
        let window = Window::of(messages(40, 400), Some(&notes(0)));
        let summary = window.plain_notes(Some(&notes(0))).unwrap_or_else(|| notes(0));
        assert_eq!(summary.through, window.leaving.last().map_or(0, |message| message.number));
        assert!(summary.text.chars().count() <= NOTES && !summary.text.is_empty());
    }
}
