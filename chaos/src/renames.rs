//! Puts the addresses of proxies in place of those of servers.
//!
//! Sentinels and the nodes of a cluster name servers by their own addresses. A reader would go there
//! without its proxies, so a proxy renames the addresses in each answer.

use std::sync::Arc;

use crate::failure::Failure;

/// The texts to replace, each with one of the same length. Lengths inside an answer stay right.
#[derive(Clone, Debug, Default)]
pub struct Renames(Arc<[(String, String)]>);

impl Renames {
    /// Renames the first port of each pair to the second, in both forms in which servers write it.
    pub fn of(pairs: impl IntoIterator<Item = (u16, u16)>) -> Result<Self, Failure> {
        let mut texts = Vec::new();
        for (from, to) in pairs {
            if from.to_string().len() != to.to_string().len() {
                return Err(format!("port {from} cannot become {to}, of another length").into());
            }
            // In a list of nodes or a redirect, and as a text of its own.
            texts.push((format!("127.0.0.1:{from}"), format!("127.0.0.1:{to}")));
            texts.push((format!("\r\n{from}\r\n"), format!("\r\n{to}\r\n")));
        }
        Ok(Self(texts.into()))
    }

    /// Renames the addresses in a piece of an answer. Answers with addresses are small and arrive in
    /// one piece.
    pub fn apply(&self, piece: &mut [u8]) {
        for (from, to) in &*self.0 {
            let (from, to) = (from.as_bytes(), to.as_bytes());
            let mut start = 0;
            while let Some(at) = find(&piece[start..], from) {
                piece[start + at..][..to.len()].copy_from_slice(to);
                start += at + to.len();
            }
        }
    }
}

fn find(piece: &[u8], text: &[u8]) -> Option<usize> {
    piece.windows(text.len()).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_addresses_and_nothing_else() {
        let renames = Renames::of([(10_001, 40_001), (10_002, 40_002)]).unwrap();
        let renamed = |text: &str| {
            let mut piece = text.as_bytes().to_vec();
            renames.apply(&mut piece);
            String::from_utf8(piece).unwrap()
        };
        assert_eq!(
            renamed("$9\r\n127.0.0.1\r\n$5\r\n10001\r\n"),
            "$9\r\n127.0.0.1\r\n$5\r\n40001\r\n"
        );
        assert_eq!(
            renamed("a 127.0.0.1:10001@20001 master\nb 127.0.0.1:10002@20002 slave\n"),
            "a 127.0.0.1:40001@20001 master\nb 127.0.0.1:40002@20002 slave\n"
        );
        assert_eq!(renamed("-MOVED 93 127.0.0.1:10002\r\n"), "-MOVED 93 127.0.0.1:40002\r\n");
        assert_eq!(renamed(":10001\r\n"), ":10001\r\n");
        assert!(Renames::of([(10_001, 4_001)]).is_err());
    }
}
