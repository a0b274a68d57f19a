//! Texts for token tests and benchmarks, made from a seed: the same seed gives the same bytes on every machine.
//!
//! One rule: nothing is read from disk or network, so a count recorded from one run can be checked in the next.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// The `SplitMix64` generator (Steele, Lea and Flood, 2014): small, seedable, and good enough to draw words with.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }

    /// Low positions far more often than high ones, as words are used in writing (Zipf).
    fn pick_skewed<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let len = from.len() as u64;
        let bound = 1 + self.below(len);
        let at = usize::try_from(self.below(bound)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }

    fn char_between(&mut self, first: u32, last: u32) -> char {
        let span = u64::from(last.saturating_sub(first)) + 1;
        let offset = u32::try_from(self.below(span)).unwrap_or(0);
        char::from_u32(first + offset).unwrap_or('\u{fffd}')
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prose,
    Code,
    Multilingual,
    Json,
}

pub(crate) const KINDS: [(&str, Kind); 4] =
    [("prose", Kind::Prose), ("code", Kind::Code), ("multilingual", Kind::Multilingual), ("json", Kind::Json)];

/// A text of one kind, at most `bytes` long and at most three bytes shorter.
pub(crate) fn text(kind: Kind, bytes: usize, seed: u64) -> String {
    let mut dice = Dice::new(seed ^ 0x746f_6b65_6e73);
    let mut out = String::with_capacity(bytes + 256);
    while out.len() < bytes {
        match kind {
            Kind::Prose => sentence(&mut dice, &mut out),
            Kind::Code => function(&mut dice, &mut out),
            Kind::Multilingual => foreign_sentence(&mut dice, &mut out),
            Kind::Json => record(&mut dice, &mut out),
        }
    }
    cut(&mut out, bytes);
    out
}

pub(crate) fn cut(text: &mut String, bytes: usize) {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn words(spaced: &'static str) -> Vec<&'static str> {
    spaced.split(' ').collect()
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    words(
        "the of and to a in is that it for was on with as at by from not are this but had which they one were \
     all there when more would their what about into time could them than other some only its over also \
     after most years first where between through water because should each little people house under \
     light story garden winter market letter engine window river morning question answer distance bridge \
     forest captain kitchen mountain silence weather harbour library teacher railway measure balance \
     evening surface century village picture journey machine language history science purpose natural \
     quickly perhaps another against nothing together different important understand temperature \
     particular government experience information development environment relationship responsibility \
     nevertheless extraordinary archaeological photosynthesis counterintuitive Mediterranean Elizabeth \
     Copenhagen Saturday don't it's they've we'll I'm wouldn't she'd 1987 42 3.14 10,000 e.g. U.S.",
    )
});
static SYLLABLES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    words(
        "ba cor del fen gri hal jor kim lun mar nol pra qui ros sta tur ver wel xen yor zan eth oph ian ism \
     ous ity ter ing ed",
    )
});

fn word(dice: &mut Dice, out: &mut String) {
    if dice.one_in(12) {
        for _ in 0..2 + dice.below(3) {
            out.push_str(dice.pick(&SYLLABLES));
        }
    } else {
        out.push_str(dice.pick_skewed(&WORDS));
    }
}

fn sentence(dice: &mut Dice, out: &mut String) {
    let words = 5 + dice.below(18);
    for at in 0..words {
        let from = out.len();
        word(dice, out);
        if at == 0
            && let Some(first) = out.get(from..from + 1).map(str::to_ascii_uppercase)
        {
            out.replace_range(from..=from, &first);
        }
        if at + 1 < words {
            out.push_str(if dice.one_in(11) { dice.pick(&[", ", "; ", " — ", ": ", " (", ") "]) } else { " " });
        }
    }
    out.push_str(dice.pick(&[". ", ". ", ". ", "? ", "! ", ".\n\n", "...\n", ".\" "]));
}

static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    words(
        "index value buffer request response count self config client result items node parse_header \
     max_tokens user_id readLine toString HttpServer EventLoop is_valid MAX_SIZE tmp i j x err ctx fn \
     byteLength elapsed_ms retryAfter shared_state",
    )
});

fn function(dice: &mut Dice, out: &mut String) {
    let name = dice.pick(&NAMES);
    let argument = dice.pick(&NAMES);
    match dice.below(3) {
        0 => {
            put(out, format_args!("def {name}_{}({argument}: int = {}) -> bool:\n", dice.below(100), dice.below(4096)));
        }
        1 => put(out, format_args!("pub fn {name}(&mut self, {argument}: &[u8]) -> Result<Vec<u8>, Error> {{\n")),
        _ => put(out, format_args!("export async function {name}({argument}, {{ signal }} = {{}}) {{\n")),
    }
    for _ in 0..2 + dice.below(7) {
        let indent = 1 + dice.below(4);
        for _ in 0..indent {
            out.push_str("    ");
        }
        let (a, b) = (dice.pick(&NAMES), dice.pick(&NAMES));
        match dice.below(7) {
            0 => put(
                out,
                format_args!(
                    "if {a} != {b}.{} && {a}[{}] >= 0x{:x}:",
                    dice.pick(&NAMES),
                    dice.below(64),
                    dice.below(1 << 20)
                ),
            ),
            1 => put(
                out,
                format_args!(
                    "let {a} = {b}.map(|{}| {a} << {}).unwrap_or_default();",
                    dice.pick(&NAMES),
                    dice.below(32)
                ),
            ),
            2 => put(
                out,
                format_args!("return {a}(\"{b}\\n\", {}.{}e-{})", dice.below(10), dice.below(100), dice.below(9)),
            ),
            3 => put(out, format_args!("// {} {} {}", dice.pick(&WORDS), dice.pick(&WORDS), dice.pick(&WORDS))),
            4 => put(out, format_args!("const {a} = await fetch(`/{b}/${{{a}}}?q={}`);", dice.next() % 100_000)),
            5 => put(out, format_args!("{a}->{b} += *({a} + {}) ?? null;\t// {:016x}", dice.below(9), dice.next())),
            _ => put(out, format_args!("for ({a} = 0; {a} < {b}; {a}++) {{ }}")),
        }
        out.push('\n');
    }
    out.push_str(dice.pick(&["}\n\n", "\n\n", "    }\n}\n\n", "#endif\r\n\r\n"]));
}

/// Words and whole alphabets of scripts that tokenizers treat differently: spaced and unspaced, with and without case.
static FOREIGN: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
    [
        "über straße größe zwischen möglichkeit verständnis nächste und der nicht für",
        "été être garçon où c'est aujourd'hui l'école très déjà naïve les français",
        "żółć łódź się że również początek książka może dzięki następny",
        "не что это привет вопрос человек возможность России Москва работает сегодня",
        "και το είναι άνθρωπος ερώτηση Ελλάδα σήμερα θάλασσα",
        "في من على السلام عليكم سؤال اليوم المدينة كِتَابٌ ٢٠٢٤",
        "של את שלום שאלה היום ירושלים אפשר",
        "है नमस्ते प्रश्न उत्तर विद्यालय हिन्दी संस्कृति क्या १२३",
        "สวัสดี ครับ ภาษาไทย วันนี้ คำถาม ประเทศ",
        "你好 世界 问题 我们 可以 图书馆 温度 机器学习 的 是 在 不 了 ， 。",
        "こんにちは 世界 質問 です ました 東京 コンピュータ の は を に 、 。",
        "안녕하세요 질문 대한민국 오늘은 컴퓨터 있습니다 그리고",
        "xin chào thế giới người Việt được những không",
        "👋 🎉 👩‍💻 🇩🇰 ❤️ 🤷🏽‍♀️ 1️⃣ 😂😂",
    ]
    .map(words)
    .to_vec()
});

fn foreign_sentence(dice: &mut Dice, out: &mut String) {
    let at = usize::try_from(dice.below(FOREIGN.len() as u64)).unwrap_or(0);
    let words = FOREIGN.get(at).map_or(&[][..], Vec::as_slice);
    let unspaced = (8..=10).contains(&at);
    for _ in 0..6 + dice.below(14) {
        match (at, dice.below(5)) {
            // Fresh text of that script, so that a cache of whole words cannot answer everything.
            (9, 0..2) => {
                (0..=dice.below(4)).for_each(|_| out.push(dice.char_between(0x4e00, 0x8fff)));
            }
            (11, 0..2) => {
                (0..=dice.below(3)).for_each(|_| out.push(dice.char_between(0xac00, 0xd7a3)));
            }
            (3, 0) => {
                (0..3 + dice.below(6)).for_each(|_| out.push(dice.char_between(0x430, 0x44f)));
            }
            _ => out.push_str(dice.pick(words)),
        }
        if !unspaced {
            out.push(' ');
        }
    }
    out.push_str(dice.pick(&[". ", "\n", "! ", " — ", "。"]));
}

fn record(dice: &mut Dice, out: &mut String) {
    let space = if dice.one_in(2) { "" } else { "\n    " };
    put(
        out,
        format_args!(
            "{{{space}\"id\": \"{:016x}\",{space}\"created\": {},",
            dice.next(),
            1_600_000_000 + dice.below(1 << 27)
        ),
    );
    for _ in 0..2 + dice.below(5) {
        let key = dice.pick(&NAMES);
        match dice.below(5) {
            0 => put(out, format_args!("{space}\"{key}\": {}.{:04},", dice.below(1000), dice.below(10_000))),
            1 => put(out, format_args!("{space}\"{key}\": [{}, {}, null, true],", dice.below(100), dice.below(100))),
            2 => put(
                out,
                format_args!(
                    "{space}\"{key}\": {{\"type\": \"string\", \"enum\": [\"{}\", \"{}\"]}},",
                    dice.pick(&WORDS),
                    dice.pick(&WORDS)
                ),
            ),
            _ => {
                put(out, format_args!("{space}\"{key}\": \""));
                (0..3 + dice.below(8)).for_each(|_| {
                    word(dice, out);
                    out.push(' ');
                });
                out.push_str("\\n\",");
            }
        }
    }
    put(out, format_args!("{space}\"ok\": {}}}{}", dice.one_in(2), dice.pick(&[",\n", "\n", ", "])));
}

/// One unbroken run of characters drawn between two.
pub(crate) fn run(first: char, last: char, bytes: usize, seed: u64) -> String {
    let mut dice = Dice::new(seed ^ 0x0072_756e);
    let mut out = String::with_capacity(bytes + 4);
    while out.len() < bytes {
        out.push(dice.char_between(u32::from(first), u32::from(last)));
    }
    cut(&mut out, bytes);
    out
}

/// Texts that make tokenizers slow, deep or wrong: each is one thing, `bytes` long.
pub(crate) fn hostile(bytes: usize) -> Vec<(&'static str, String)> {
    let mut dice = Dice::new(0x686f_7374);
    let mut filled = |next: &mut dyn FnMut(&mut Dice, &mut String)| {
        let mut out = String::with_capacity(bytes + 64);
        while out.len() < bytes {
            next(&mut dice, &mut out);
        }
        cut(&mut out, bytes);
        out
    };
    let mut base64 = |dice: &mut Dice, out: &mut String| {
        let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let at = usize::try_from(dice.below(64)).unwrap_or(0);
        out.push(char::from(symbols.get(at).copied().unwrap_or(b'A')));
    };
    vec![
        ("one_letter", "a".repeat(bytes)),
        ("one_capital", "A".repeat(bytes)),
        ("spaces", " ".repeat(bytes)),
        ("spaces_then_letter", " ".repeat(bytes.saturating_sub(1)) + "x"),
        ("newlines", "\n".repeat(bytes)),
        ("tabs_and_newlines", filled(&mut |dice, out| out.push_str(dice.pick(&["\t", "\n", " ", "\r\n"])))),
        ("one_mark", "!".repeat(bytes)),
        ("punctuation", filled(&mut |dice, out| out.push(dice.char_between(0x21, 0x2f)))),
        ("small_letters", filled(&mut |dice, out| out.push(dice.char_between(0x61, 0x7a)))),
        ("two_letters", filled(&mut |dice, out| out.push(dice.char_between(0x61, 0x62)))),
        ("mixed_case", filled(&mut |dice, out| out.push_str(dice.pick(&["a", "B", "c", "D", "é", "Ж"])))),
        ("base64", filled(&mut base64)),
        ("digits", filled(&mut |dice, out| out.push(dice.char_between(0x30, 0x39)))),
        ("one_han", {
            let mut text = "的".repeat(bytes / 3 + 1);
            cut(&mut text, bytes);
            text
        }),
        ("han", filled(&mut |dice, out| out.push(dice.char_between(0x4e00, 0x9fff)))),
        ("rare_han", filled(&mut |dice, out| out.push(dice.char_between(0x2_0000, 0x2_a6df)))),
        ("combining_marks", filled(&mut |dice, out| out.push(dice.char_between(0x300, 0x36f)))),
        (
            "stacked_marks",
            filled(&mut |dice, out| {
                out.push(dice.char_between(0x61, 0x7a));
                (0..40).for_each(|_| out.push(dice.char_between(0x300, 0x36f)));
            }),
        ),
        ("emoji", filled(&mut |dice, out| out.push(dice.char_between(0x1_f300, 0x1_f6ff)))),
        ("wide_spaces", filled(&mut |dice, out| out.push(dice.char_between(0x2000, 0x200a)))),
        ("apostrophes", filled(&mut |dice, out| out.push_str(dice.pick(&["'s", "'T", "'", "'ll", "’re"])))),
        ("any_character", filled(&mut |dice, out| anything(dice, out))),
        ("mixed", filled(&mut |dice, out| fragment(dice, out))),
    ]
}

fn anything(dice: &mut Dice, out: &mut String) {
    let c = match dice.below(4) {
        0 => dice.char_between(0x20, 0x7e),
        1 => dice.char_between(0x80, 0x7ff),
        2 => dice.char_between(0x800, 0xd7ff),
        _ => dice.char_between(0x1_0000, 0x1_ffff),
    };
    out.push(c);
}

const SPACES: &[&str] = &[
    " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u{a0}", "\u{3000}", "\u{2009}", "\u{200b}", "\u{feff}", " \n ",
    "\r", "\u{85}", "\u{2028}", "\u{b}", "        ", "\n\n\n\n", "\t\t\t", " \u{301}",
];
const CONTRACTIONS: &[&str] = &[
    "don't",
    "DON'T",
    "we'll",
    "I'M",
    "it's",
    "'s",
    "'S",
    "'tis",
    "y'all'd've",
    "O'Reilly's",
    "'ſ",
    "rock'n'roll",
    "’s",
    "can’t",
    "'",
    "''",
    "'ll'",
    "a're",
    "A'RE",
];
/// Spelled like control tokens; an ordinary encoding reads them as the text they are.
const SPECIALS: &[&str] = &[
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|endofprompt|>",
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|return|>",
    "<|",
    "|>",
    "<|endoftext",
    "endoftext|>",
    "<s>",
    "</s>",
    "[INST]",
];

fn fragment(dice: &mut Dice, out: &mut String) {
    match dice.below(16) {
        0 => out.push_str(dice.pick(SPACES)),
        1 => out.push_str(dice.pick(CONTRACTIONS)),
        2 => out.push_str(dice.pick(SPECIALS)),
        3 => anything(dice, out),
        4 => out.push(dice.char_between(0x300, 0x36f)),
        5 => out.push(dice.char_between(0x21, 0x7e)),
        6 => (0..dice.below(9)).for_each(|_| out.push(dice.char_between(0x30, 0x39))),
        7 => (0..dice.below(30)).for_each(|_| out.push(dice.char_between(0x41, 0x7a))),
        8 => {
            let c = dice.char_between(0x20, 0x2f);
            (0..dice.below(20)).for_each(|_| out.push(c));
        }
        9 => {
            let row = usize::try_from(dice.below(FOREIGN.len() as u64)).unwrap_or(0);
            out.push_str(dice.pick(FOREIGN.get(row).map_or(&[][..], Vec::as_slice)));
        }
        10 => out.push_str(dice.pick(&[
            "ǅ",
            "ʰ",
            "ª",
            "Ⅷ",
            "½",
            "²",
            "_",
            "ß",
            "İ",
            "ı",
            "K",
            "Å",
            "ﬁ",
            "ﾊﾝｶｸ",
            "Ｆｕｌｌ",
            "〇",
            "々",
            "ー",
        ])),
        11 => out.push_str(dice.pick(&["/", "//", "\\n", "/\n/", "!\n", "?/\r\n", "://", "{}/", ".\n\n", ");\n"])),
        _ => {
            word(dice, out);
            if !dice.one_in(4) {
                out.push(' ');
            }
        }
    }
}

/// A short text of anything at all: scripts, odd spaces, contractions, emoji, code and control-token spellings.
pub(crate) fn fuzzed(seed: u64) -> String {
    let mut dice = Dice::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6675_7a7a);
    let mut out = String::new();
    match dice.below(10) {
        0 => out = text(Kind::Code, 200, seed),
        1 => out = text(Kind::Multilingual, 200, seed),
        _ => {}
    }
    for _ in 0..dice.below(40) {
        fragment(&mut dice, &mut out);
    }
    out
}
