//! Claims out of a payload as Caracal writes them, in a third of the time that serde takes.
//!
//! Only what is plain is read here: one object without escapes or control characters, whole
//! numbers, no claim twice. Of anything else nothing is said, not even that it is wrong: that is
//! for serde to read and to refuse. What is read here, serde reads alike.

use crate::claims::{Claims, Hop, Text};

/// Objects and arrays within each other, beyond which serde decides.
const DEEPEST: usize = 8;

impl<'a> Claims<Text<'a>> {
    /// The claims in a plain payload; none where serde must read it.
    ///
    /// ```
    /// use caracal_revocation_state::Claims;
    /// let claims = Claims::scan(r#"{"sid":"ar-1","iat":1795400000,"aud":["a","b"]}"#);
    /// assert_eq!(claims.map(|claims| claims.sid.as_ref().to_owned()).as_deref(), Some("ar-1"));
    /// assert!(Claims::scan(r#"{"s\u0069d":"ar-1"}"#).is_none());
    /// assert!(Claims::scan(r#"{"sid":"ar-1","sid":"ar-2"}"#).is_none());
    /// ```
    #[must_use]
    pub fn scan(payload: &'a str) -> Option<Self> {
        // Every byte is looked at, so that many are at a time.
        let is_plain = |byte: u8| (byte >= b' ') & (byte != b'\\');
        if !payload.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return None;
        }
        let mut scan = Scan { payload, at: 0 };
        let claims = scan.claims()?;
        scan.space();
        (scan.at == payload.len()).then_some(claims)
    }
}

/// How far the payload was read. Each method reads one thing, or says that it is not plain.
struct Scan<'a> {
    payload: &'a str,
    at: usize,
}

/// The value of a claim: null is one, and an empty text names nothing.
type Value<T> = Option<Option<T>>;

impl<'a> Scan<'a> {
    fn claims(&mut self) -> Option<Claims<Text<'a>>> {
        let (mut sid, mut root_sid, mut zone_id) = (None, None, None);
        let (mut agent_session_id, mut delegation_edge_id, mut usage) = (None, None, None);
        let (mut delegation_chain, mut delegation_path) = (None, None);
        let (mut delegation_graph_epoch, mut iat, mut exp) = (None, None, None);
        let mut others = Names::<16>::new();
        self.object(|scan, name| match name {
            "sid" => once(&mut sid, || scan.text()),
            "root_sid" => once(&mut root_sid, || scan.text()),
            "agent_session_id" => once(&mut agent_session_id, || scan.text()),
            "delegation_edge_id" => once(&mut delegation_edge_id, || scan.text()),
            "zone_id" => once(&mut zone_id, || scan.text()),
            "use" => once(&mut usage, || scan.text()),
            "delegation_chain" => once(&mut delegation_chain, || scan.list(Self::hop)),
            "delegation_path" => {
                once(&mut delegation_path, || scan.list(|scan| scan.string().map(Text::from)))
            }
            "delegation_graph_epoch" => once(&mut delegation_graph_epoch, || scan.number()),
            "iat" => once(&mut iat, || scan.number()),
            "exp" => once(&mut exp, || scan.number()),
            name => others.add(name).and_then(|()| scan.skip(DEEPEST)),
        })?;
        let seconds = |number: Value<u64>| match number.flatten() {
            Some(number) => i64::try_from(number).ok().map(Some),
            None => Some(None),
        };
        Some(Claims {
            sid: present(sid)?,
            root_sid: present(root_sid),
            agent_session_id: present(agent_session_id),
            delegation_edge_id: present(delegation_edge_id),
            delegation_chain: delegation_chain.flatten().unwrap_or_default(),
            delegation_path: delegation_path.flatten().unwrap_or_default(),
            delegation_graph_epoch: delegation_graph_epoch.flatten().unwrap_or_default(),
            zone_id: present(zone_id),
            usage: present(usage),
            iat: seconds(iat)?,
            exp: seconds(exp)?,
        })
    }

    fn hop(&mut self) -> Option<Hop<Text<'a>>> {
        let (mut agent_session_id, mut delegation_edge_id) = (None, None);
        let mut others = Names::<4>::new();
        self.object(|scan, name| match name {
            "agent_session_id" => once(&mut agent_session_id, || scan.text()),
            "delegation_edge_id" => once(&mut delegation_edge_id, || scan.text()),
            name => others.add(name).and_then(|()| scan.skip(DEEPEST)),
        })?;
        Some(Hop::new(present(agent_session_id), present(delegation_edge_id)))
    }

    /// An object: `member` reads the value of each name.
    #[inline]
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.token(b'{')?;
        if self.next_is(b'}') {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.token(b':')?;
            self.space();
            member(self, name)?;
            if !self.next_is(b',') {
                return self.token(b'}');
            }
        }
    }

    /// An array, or null.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Option<Vec<T>>> {
        if self.is_null() {
            return Some(None);
        }
        self.token(b'[')?;
        let mut items = Vec::new();
        if self.next_is(b']') {
            return Some(Some(items));
        }
        loop {
            self.space();
            items.push(item(self)?);
            if !self.next_is(b',') {
                return self.token(b']').map(|()| Some(items));
            }
        }
    }

    /// A value that nobody reads.
    fn skip(&mut self, deepest: usize) -> Option<()> {
        let deeper = deepest.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(|scan, _| scan.skip(deeper)),
            b'[' => self.list(|scan| scan.skip(deeper)).map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.digits().map(drop),
        }
    }

    /// A text, or null.
    #[inline]
    fn text(&mut self) -> Option<Option<Text<'a>>> {
        if self.is_null() {
            return Some(None);
        }
        self.string().map(|text| Some(text.into()))
    }

    /// A whole number, or null.
    fn number(&mut self) -> Option<Option<u64>> {
        if self.is_null() {
            return Some(None);
        }
        self.digits().map(Some)
    }

    /// At most 18 digits, and nothing that would make another number of them.
    fn digits(&mut self) -> Option<u64> {
        let (begin, mut number) = (self.at, 0_u64);
        while let Some(digit) = self.peek().map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10)
        {
            if self.at - begin == 18 {
                return None;
            }
            number = number * 10 + u64::from(digit);
            self.at += 1;
        }
        let length = self.at - begin;
        let is_whole = !matches!(self.peek(), Some(b'.' | b'e' | b'E' | b'-' | b'+'));
        let has_leading_zero = length > 1 && self.payload.as_bytes().get(begin) == Some(&b'0');
        (length > 0 && is_whole && !has_leading_zero).then_some(number)
    }

    /// A string: it ends at the next quote, since there are no escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let begin = self.at;
        let end = begin + quote(self.payload.as_bytes().get(begin..)?)?;
        self.at = end + 1;
        self.payload.get(begin..end)
    }

    /// One character, after space.
    #[inline]
    fn token(&mut self, token: u8) -> Option<()> {
        self.next_is(token).then_some(())
    }

    /// Whether it comes next, after space; then it is passed.
    #[inline]
    fn next_is(&mut self, token: u8) -> bool {
        self.space();
        if self.peek() != Some(token) {
            return false;
        }
        self.at += 1;
        true
    }

    fn is_null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null").is_some()
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_next = self.payload.get(self.at..)?.starts_with(word);
        is_next.then(|| self.at += word.len())
    }

    /// Passes blanks; of the other kinds of space there are none in what is plain.
    #[inline]
    fn space(&mut self) {
        if self.peek() == Some(b' ') {
            self.long_space();
        }
    }

    #[cold]
    fn long_space(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.payload.as_bytes().get(self.at).copied()
    }
}

/// Reads the value of a claim that has not been there before.
#[inline]
fn once<T>(place: &mut Value<T>, read: impl FnOnce() -> Option<Option<T>>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(read()?);
    Some(())
}

fn present(text: Value<Text<'_>>) -> Option<Text<'_>> {
    text.flatten().filter(|text| !text.as_ref().is_empty())
}

/// Names that were there before, so many at most: beyond that serde decides.
struct Names<'a, const MOST: usize> {
    names: [&'a str; MOST],
    len: usize,
}

impl<'a, const MOST: usize> Names<'a, MOST> {
    const fn new() -> Self {
        Self { names: [""; MOST], len: 0 }
    }

    /// None if it was there before, or there is no room.
    #[inline]
    fn add(&mut self, name: &'a str) -> Option<()> {
        let is_known = self.names.get(..self.len)?.contains(&name);
        *self.names.get_mut(self.len)? = name;
        self.len += 1;
        (!is_known).then_some(())
    }
}

/// Where the first quote stands; eight bytes at a time.
#[inline]
fn quote(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        // A byte that is zero here was a quote; the lowest high bit left is that of the first.
        let word = u64::from_le_bytes(*word) ^ (ONES * b'"' as u64);
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(at * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| *byte == b'"')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDINARY: &str = concat!(
        r#"{"iss":"https://sts.example","aud":["https://api.example"],"sub":"u-1","zone_id":"z-1","#,
        r#""client_id":"app-7","sub_type":"user","use":"gateway","jti":"t-1","iat":1795400000,"#,
        r#""exp":1795403600,"sid":"ar-1","root_sid":"ar-0","agent_session_id":"gs-1","nbf":null,"#,
        r#""delegation_edge_id":"e-1","delegation_chain":[{"application_id":"app-7","#,
        r#""delegation_edge_id":"e-2"},{"agent_session_id":"gs-2"}],"delegation_path":["e-3",""],"#,
        r#""delegation_graph_epoch":7,"more":{"a":[true,false,0],"b":{}}}"#,
    );

    fn by_serde(payload: &str) -> Option<Claims<Text<'_>>> {
        serde_json::from_str(payload).ok()
    }

    #[test]
    fn reads_an_ordinary_payload_as_serde_does() {
        let claims = Claims::scan(ORDINARY).expect("plain");
        assert_eq!(Some(&claims), by_serde(ORDINARY).as_ref());
        assert_eq!(claims.anchors(true).count(), 7);
        assert_eq!((claims.delegation_graph_epoch, claims.iat), (7, Some(1_795_400_000)));
        let spaced = ORDINARY.replace(',', " , ").replace(':', " : ").replace("[]", "[ ]");
        let spaced = format!(" {spaced} ");
        assert_eq!(Claims::scan(&spaced), by_serde(&spaced));
        assert!(Claims::scan(&spaced).is_some());
    }

    #[test]
    fn says_nothing_of_what_is_not_plain() {
        let cases = [
            "",
            "{}",
            "[]",
            r#"{"sid":""}"#,
            r#"{"sid":"a"}x"#,
            r#"{"sid":"a""#,
            r#"{"sid":"a",}"#,
            r#"{"sid":"a","sid":"b"}"#,
            r#"{"sid":"a","other":1,"other":2}"#,
            r#"{"sid":"a","iat":nope7}"#,
            r#"{"sid":"a","iat":1.5}"#,
            r#"{"sid":"a","iat":01}"#,
            r#"{"sid":"a","iat":-1}"#,
            r#"{"sid":"a","iat":1e3}"#,
            r#"{"sid":"a","iat":9999999999999999999}"#,
            r#"{"sid":"a","delegation_chain":["e"]}"#,
            r#"{"sid":"a","delegation_chain":[{"x":1,"x":2}]}"#,
            r#"{"sid":"a","delegation_path":[null]}"#,
            r#"{"sid":"a","other":tru}"#,
            r#"{"s\u0069d":"a"}"#,
            "{\"sid\":\"a\tb\"}",
        ];
        for payload in cases {
            assert_eq!(Claims::scan(payload), None, "{payload}");
        }
        let names: Vec<_> = (0..17).map(|n| format!(r#""n{n}":{n}"#)).collect();
        let many = format!(r#"{{"sid":"a",{}}}"#, names.join(","));
        assert_eq!(Claims::scan(&many), None);
        assert!(by_serde(&many).is_some());
        let deep = format!(r#"{{"sid":"a","x":{}{}}}"#, "[".repeat(9), "]".repeat(9));
        assert!(Claims::scan(&deep).is_none() && by_serde(&deep).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// Bytes of the payload are changed, left out and put in.
        #[test]
        fn what_is_read_here_serde_reads_alike(
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..3, prop::sample::select(
                    b"\"{}[],:0123456789.eE+- nulltruefalse\\sidroot_\t\x7f".to_vec(),
                )),
                0..4,
            ),
        ) {
            let mut bytes = ORDINARY.as_bytes().to_vec();
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            let payload = String::from_utf8(bytes).unwrap();
            if let Some(claims) = Claims::scan(&payload) {
                prop_assert_eq!(Some(claims), by_serde(&payload));
            }
        }

        #[test]
        fn a_quote_is_found_where_it_stands(
            before in "[^\"]{0,40}", after in "\\PC{0,20}",
        ) {
            let text = format!("{before}\"{after}");
            prop_assert_eq!(quote(text.as_bytes()), Some(before.len()));
            prop_assert_eq!(quote(before.as_bytes()), None);
        }
    }
}
