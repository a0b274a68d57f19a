//! Width and height of an image, from the header of a PNG, JPEG, GIF or WebP file in base64.
//!
//! One rule: whatever the bytes are, the answer is a size or nothing; they come from strangers.

/// Headers may follow a camera's metadata; 48 KiB of image reach past it in practice. In base64 that is a third more.
const HEADER_BASE64_BYTES: usize = 64 << 10;

/// Width and height of a base64 image, from the header of a PNG, JPEG, GIF or WebP.
pub(super) fn base64_size(base64: &str) -> Option<(u32, u32)> {
    let bytes = base64.as_bytes();
    let head = decode_base64(bytes.get(..HEADER_BASE64_BYTES).unwrap_or(bytes));
    let (width, height) = header_size(&head)?;
    (width > 0 && height > 0).then_some((width, height))
}

/// Width and height of the image in a `data:` URL; nothing for any other URL.
pub(super) fn data_url_size(url: &str) -> Option<(u32, u32)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    kind.ends_with(";base64").then(|| base64_size(data))?
}

/// Whole groups of either alphabet, up to the first byte that belongs to none.
fn decode_base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.chunks_exact(4) {
        let mut bits = 0_u32;
        for &symbol in group {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return out,
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, rest @ ..] = bits.to_be_bytes();
        out.extend_from_slice(&rest);
    }
    out
}

fn header_size(image: &[u8]) -> Option<(u32, u32)> {
    if image.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((be32(image, 16)?, be32(image, 20)?));
    }
    if image.starts_with(b"GIF8") {
        return Some((le16(image, 6)?, le16(image, 8)?));
    }
    if image.starts_with(b"RIFF") && image.get(8..12)? == b"WEBP" {
        return webp_size(image);
    }
    if image.starts_with(&[0xff, 0xd8]) {
        return jpeg_size(image);
    }
    None
}

/// RFC 9649: lossy, lossless and extended files keep the size in different places.
fn webp_size(image: &[u8]) -> Option<(u32, u32)> {
    match image.get(12..16)? {
        b"VP8 " => Some((le16(image, 26)? & 0x3fff, le16(image, 28)? & 0x3fff)),
        b"VP8L" => {
            let bits = le16(image, 21)? | le16(image, 23)? << 16;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => Some(((le32(image, 24)? & 0xff_ffff) + 1, (le32(image, 27)? & 0xff_ffff) + 1)),
        _ => None,
    }
}

/// ITU T.81: segments follow one another; the size is in the first that starts a frame.
fn jpeg_size(image: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *image.get(at)? != 0xff {
            return None;
        }
        match *image.get(at + 1)? {
            // A fill byte before the marker.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            // Tables, not frames: Huffman, an extension, arithmetic coding.
            0xc4 | 0xc8 | 0xcc => at += 2 + usize::try_from(be16(image, at + 2)?).ok()?,
            0xc0..=0xcf => return Some((be16(image, at + 7)?, be16(image, at + 5)?)),
            // The picture itself, or its end, with no frame before it.
            0xd9 | 0xda => return None,
            _ => at += 2 + usize::try_from(be16(image, at + 2)?).ok()?,
        }
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn le16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> String {
        let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().div_ceil(3) * 3, 0);
        padded
            .chunks(3)
            .flat_map(|group| {
                let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
                [18, 12, 6, 0].map(|shift| char::from(symbols[(bits >> shift & 63) as usize]))
            })
            .collect()
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 6, 0, 0, 0]]
            .concat()
    }

    #[test]
    fn every_format_tells_its_size() {
        let jpeg = [
            &[
                0xff, 0xd8, 0xff, 0xe1, 0, 6, 1, 2, 3, 4, 0xff, 0xff, 0xc4, 0, 2, 0xff, 0xc2, 0, 17, 8, 0x02, 0x58,
                0x03, 0x20,
            ][..],
            &[3; 12],
        ]
        .concat();
        let gif = b"GIF89a\x20\x03\x58\x02\0\0\0\0\0";
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x20\x03\x58\x02\0\0\0\0";
        let bits: u32 = 0x31f | 0x257 << 14;
        let lossless = [b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".as_slice(), &bits.to_le_bytes(), &[0; 8]].concat();
        let extended =
            [b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".as_slice(), &[0x1f, 3, 0, 0x57, 2, 0], &[0; 8]].concat();
        for image in [png(800, 600), jpeg, gif.to_vec(), lossy.to_vec(), lossless, extended] {
            assert_eq!(base64_size(&base64(&image)), Some((800, 600)), "{image:?}");
        }
    }

    #[test]
    fn a_cut_or_foreign_header_has_no_size() {
        let whole = png(800, 600);
        for end in 0..24 {
            assert_eq!(header_size(&whole[..end]), None);
        }
        for image in [
            &b"BM6\0\0\0"[..],
            b"",
            b"\xff\xd8\xff\xda",
            b"\xff\xd8\xff\xe0\xff\xff",
            b"RIFF",
            b"GIF8",
            b"\xff\xd8\xff",
        ] {
            assert_eq!(header_size(image), None);
        }
        assert_eq!(base64_size(&base64(&png(0, 600))), None);
        assert_eq!(base64_size("data? no!"), None);
    }

    #[test]
    fn only_a_data_url_is_looked_into() {
        let data = base64(&png(800, 600));
        assert_eq!(data_url_size(&format!("data:image/png;base64,{data}")), Some((800, 600)));
        assert_eq!(data_url_size(&format!("data:image/png,{data}")), None);
        assert_eq!(data_url_size("https://example.com/a.png"), None);
    }
}
