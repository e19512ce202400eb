//! The card in a picture: a `tEXt` chunk, base64 of the card's JSON, under `ccv3` or, for older readers, `chara`.
//! Nothing else of the picture is read.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::error::{Code, Error, Result};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The most bytes of a card in a picture, as of one that is sent by itself.
const CARD_MOST: usize = 256 * 1024;

/// The card that a picture carries; that of the newer specification where there are two.
///
/// # Errors
/// `request.invalid` where the bytes are no PNG, or carry no card that can be read; `request.payload_too_large` where
/// the card is larger than one may be.
pub fn card(picture: &[u8]) -> Result<Value> {
    let mut rest = picture
        .strip_prefix(SIGNATURE)
        .ok_or_else(|| invalid("The body is not a PNG picture: its first bytes are others."))?;
    let mut found: [Option<&[u8]>; 2] = [None, None];
    while !rest.is_empty() {
        let (kind, data, behind) = chunk(rest).ok_or_else(|| {
            invalid("The picture is damaged: a chunk is cut off, or its checksum is wrong.")
        })?;
        if let Some((keyword, text)) = (kind == b"tEXt").then(|| split(data)).flatten() {
            match keyword {
                b"ccv3" => found[0] = Some(text),
                b"chara" => found[1] = Some(text),
                _ => {}
            }
        }
        rest = if kind == b"IEND" { &[] } else { behind };
    }
    let text = found.into_iter().flatten().next().ok_or_else(|| {
        invalid("The picture carries no character card: it has no tEXt chunk \"ccv3\" or \"chara\".")
    })?;
    if text.len() > CARD_MOST / 3 * 4 + 4 {
        let message = format!("The card in the picture has more than {CARD_MOST} bytes. Shorten it.");
        return Err(Error::new(Code::PayloadTooLarge, message));
    }
    let json = STANDARD.decode(text).map_err(|_| invalid("The card in the picture is not base64."))?;
    serde_json::from_slice(&json).map_err(|error| {
        invalid(&format!(
            "The card in the picture is not JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))
    })
}

/// Kind, data, and what is behind the chunk.
fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let end = length.checked_add(8)?;
    let covered = bytes.get(4..end)?;
    let checksum = u32::from_be_bytes(bytes.get(end..end.checked_add(4)?)?.try_into().ok()?);
    let (kind, data) = covered.split_at(4);
    (crc32fast::hash(covered) == checksum).then_some((kind, data, bytes.get(end + 4..)?))
}

fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|byte| *byte == 0)?;
    Some((&data[..at], &data[at + 1..]))
}

fn invalid(message: &str) -> Error {
    Error::new(Code::RequestInvalid, message)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with_chunks(chunks: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
        let mut picture = SIGNATURE.to_vec();
        for (kind, data) in chunks.iter().chain([&(b"IEND".as_slice(), Vec::new())]) {
            picture.extend((data.len() as u32).to_be_bytes());
            let covered: Vec<u8> = kind.iter().chain(data).copied().collect();
            picture.extend(&covered);
            picture.extend(crc32fast::hash(&covered).to_be_bytes());
        }
        picture
    }

    fn text(keyword: &str, card: &Value) -> (&'static [u8], Vec<u8>) {
        let data = [keyword.as_bytes(), b"\0", STANDARD.encode(card.to_string()).as_bytes()].concat();
        (b"tEXt", data)
    }

    #[test]
    fn the_newer_card_of_a_picture_is_read_wherever_it_stands() {
        let (old, new) = (json!({"spec": "chara_card_v2"}), json!({"spec": "chara_card_v3"}));
        let pixels = (b"IDAT".as_slice(), vec![7; 300]);
        let both = with_chunks(&[text("ccv3", &new), pixels.clone(), text("chara", &old)]);
        assert_eq!(card(&both).unwrap(), new);
        assert_eq!(card(&with_chunks(&[pixels, text("chara", &old)])).unwrap(), old);
    }

    #[test]
    fn a_picture_that_is_none_or_carries_none_is_told_why() {
        let whole = with_chunks(&[text("chara", &json!({}))]);
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        let endless = [SIGNATURE, &[0xff, 0xff, 0xff, 0xff], b"tEXtchara\0"].concat();
        let other = with_chunks(&[(b"tEXt", b"chara\0!!!".to_vec())]);
        let no_json =
            with_chunks(&[(b"tEXt", [b"chara\0".as_slice(), STANDARD.encode("{").as_bytes()].concat())]);
        for (picture, why) in [
            (b"GIF89a".to_vec(), "not a PNG"),
            (whole[..whole.len() - 20].to_vec(), "damaged"),
            (flipped, "damaged"),
            (endless, "damaged"),
            (with_chunks(&[]), "carries no character card"),
            (other, "not base64"),
            (no_json, "not JSON"),
        ] {
            let message = card(&picture).unwrap_err().message;
            assert!(message.contains(why), "{message}");
        }
        let huge = with_chunks(&[text("chara", &json!("x".repeat(300_000)))]);
        assert_eq!(card(&huge).unwrap_err().code, Code::PayloadTooLarge);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = card(&bytes);
            prop_assert!(card(&[SIGNATURE, &bytes].concat()).is_err() || bytes.len() > 20);
        }
    }
}
