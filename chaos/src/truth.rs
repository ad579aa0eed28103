//! The harness's own record: the tokens issued and revoked, the faults, the requests and answers.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;

use crate::failure::Failure;
use crate::history::{
    Class, Held, Injected, Loss, Lost, Probe, ReaderLife, Request, Resumed, Revocation, Token,
};
use crate::jwks::Jwks;
use crate::mandates::{FEW, Issuer};
use crate::message::parse_id;
use crate::time::At;

/// The number of newest revocations whose tokens requests use most often.
const RECENT: usize = 60;

/// Records everything while a schedule runs.
pub struct Truth {
    issuer: Issuer,
    inner: Mutex<Inner>,
}

/// The contents of the streams.
#[derive(Debug, Default)]
pub struct StreamContents {
    /// The revocations that are in a stream, by number.
    pub present: HashSet<usize>,
    /// Of the stream from which messages are removed: its counters show if ids up to this one are
    /// missing.
    pub traced_up_to: (u64, u64),
}

impl StreamContents {
    fn traces(&self, id: &str) -> bool {
        parse_id(id).is_some_and(|id| id <= self.traced_up_to)
    }
}

/// A message that Redis acknowledged.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    /// The number of the key that signed it.
    pub key: usize,
}

#[derive(Default)]
struct Inner {
    tokens: Vec<Minted>,
    /// Tokens that will be revoked later.
    to_revoke: Vec<usize>,
    /// Tokens of the other classes that will be ended later, in order.
    few: VecDeque<(Class, usize)>,
    /// Tokens that are never revoked.
    good: Vec<usize>,
    record: Record,
}

struct Minted {
    text: Arc<str>,
    token: Token,
}

/// The part of the record that becomes the history.
#[derive(Clone, Default)]
pub struct Record {
    pub tokens: Vec<Token>,
    pub revocations: Vec<Revocation>,
    pub lives: Vec<ReaderLife>,
    pub faults: Vec<Injected>,
    pub requests: Vec<Request>,
    pub probes: Vec<Probe>,
    pub held: Vec<Held>,
}

impl Truth {
    pub fn new() -> Self {
        Self { issuer: Issuer::new(), inner: Mutex::default() }
    }

    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Issues tokens: `to_revoke` of them will be revoked, and `good` of them will not.
    pub fn mint(&self, to_revoke: usize, good: usize) -> Result<(), Failure> {
        for n in 0..to_revoke + good {
            let mut inner = self.inner();
            let number = inner.tokens.len();
            let (text, iat) = self.issuer.mint(number, Class::Plain)?;
            let token = Token { iat, class: Class::Plain, resumed: None };
            inner.tokens.push(Minted { text: text.into(), token });
            if n < to_revoke { inner.to_revoke.push(number) } else { inner.good.push(number) }
        }
        Ok(())
    }

    /// Issues the tokens of the other classes. The keys of keyed tokens are published in `jwks`.
    pub fn mint_few(&self, jwks: &Jwks) -> Result<(), Failure> {
        for class in [Class::Epoch, Class::Keyed, Class::Policy].into_iter().cycle().take(3 * FEW) {
            let mut inner = self.inner();
            let number = inner.tokens.len();
            let (text, iat) = if class == Class::Keyed {
                let (text, iat, key) = self.issuer.mint_keyed(number)?;
                jwks.publish(key);
                (text, iat)
            } else {
                self.issuer.mint(number, class)?
            };
            let token = Token { iat, class, resumed: None };
            inner.tokens.push(Minted { text: text.into(), token });
            inner.few.push_back((class, number));
        }
        Ok(())
    }

    /// Issues a token of the governed session of another one, after that session was resumed.
    pub fn mint_resumed(&self, of: usize, resumed: Resumed) -> Result<(), Failure> {
        let mut inner = self.inner();
        let number = inner.tokens.len();
        let (text, iat) = self.issuer.mint_successor(number, of)?;
        let token = Token { iat, class: Class::Plain, resumed: Some(resumed) };
        inner.tokens.push(Minted { text: text.into(), token });
        inner.good.push(number);
        Ok(())
    }

    /// Chooses a token of the class to revoke, and records that its revocation is about to be
    /// attempted.
    pub fn attempt(
        &self,
        rng: &mut Rng,
        at: At,
        class: Class,
        what: &str,
    ) -> Option<(usize, usize)> {
        let mut inner = self.inner();
        let token = if class == Class::Plain {
            if inner.to_revoke.is_empty() {
                return None;
            }
            let place = rng.usize(..inner.to_revoke.len());
            inner.to_revoke.swap_remove(place)
        } else {
            let place = inner.few.iter().position(|(of, _)| *of == class)?;
            inner.few.remove(place)?.1
        };
        let number = inner.record.revocations.len();
        inner.record.revocations.push(Revocation {
            token,
            what: what.to_owned(),
            attempted: at,
            acked: None,
            id: None,
            key: 0,
            hidden: false,
            loss: None,
        });
        Some((number, token))
    }

    /// Records that the message of this revocation is re-cut.
    pub fn hide(&self, revocation: usize) {
        self.inner().record.revocations[revocation].hidden = true;
    }

    pub fn acknowledged(&self, revocation: usize, at: At, sent: Sent) {
        let record = &mut self.inner().record.revocations[revocation];
        record.acked = Some(at);
        record.id = Some(sent.id);
        record.key = sent.key;
    }

    /// Returns the newest revocation that Redis acknowledged and has not lost.
    pub fn newest(&self) -> Option<Revocation> {
        let inner = self.inner();
        let revocations =
            inner.record.revocations.iter().filter(|revocation| revocation.loss.is_none());
        revocations
            .filter(|revocation| revocation.acked.is_some())
            .max_by_key(|revocation| revocation.acked)
            .cloned()
    }

    /// Returns the revocations that Redis acknowledged in a period and has not lost.
    pub fn acknowledged_between(&self, from: At, to: At) -> Vec<Revocation> {
        let inner = self.inner();
        let revocations = inner.record.revocations.iter();
        revocations
            .filter(|revocation| {
                revocation.loss.is_none()
                    && revocation.acked.is_some_and(|at| from < at && at <= to)
            })
            .cloned()
            .collect()
    }

    /// Marks as lost every revocation acknowledged by `upto` that is not in its stream. Returns how
    /// many are newly lost.
    pub fn record_losses(&self, contents: &StreamContents, upto: At, at: At, how: Lost) -> usize {
        let mut lost = 0;
        for (number, revocation) in self.inner().record.revocations.iter_mut().enumerate() {
            let is_acknowledged = revocation.acked.is_some_and(|acked| acked <= upto);
            if !is_acknowledged || contents.present.contains(&number) {
                continue;
            }
            lost += usize::from(revocation.loss.is_none());
            let loss = revocation.loss.get_or_insert(Loss { at, how, untraced: None });
            let is_traced = revocation.id.as_deref().is_some_and(|id| contents.traces(id));
            if loss.how != Lost::ByServer && !is_traced {
                loss.untraced.get_or_insert(at);
            }
        }
        lost
    }

    /// Chooses a token for a request: most often one that was revoked recently.
    pub fn pick(&self, rng: &mut Rng) -> Option<(usize, Arc<str>)> {
        let inner = self.inner();
        let revocations = &inner.record.revocations;
        let token = match rng.u8(..100) {
            0..55 if !revocations.is_empty() => {
                let recent = &revocations[revocations.len().saturating_sub(RECENT)..];
                recent[rng.usize(..recent.len())].token
            }
            55..70 if !revocations.is_empty() => revocations[rng.usize(..revocations.len())].token,
            70..76 if !inner.to_revoke.is_empty() => {
                inner.to_revoke[rng.usize(..inner.to_revoke.len())]
            }
            76..78 if !inner.few.is_empty() => inner.few[rng.usize(..inner.few.len())].1,
            78..90 => *inner.good.last()?,
            _ => *inner.good.get(rng.usize(..inner.good.len().max(1)))?,
        };
        Some((token, inner.tokens[token].text.clone()))
    }

    /// Returns some tokens that are never revoked.
    pub fn some_good(&self, rng: &mut Rng, count: usize) -> Vec<usize> {
        let inner = self.inner();
        (0..count).filter_map(|_| rng.choice(inner.good.iter()).copied()).collect()
    }

    pub fn text(&self, token: usize) -> Arc<str> {
        self.inner().tokens[token].text.clone()
    }

    /// Chooses a token that will be revoked soon, or that is good.
    pub fn pick_live(&self, rng: &mut Rng) -> Option<usize> {
        let inner = self.inner();
        let pool = if rng.u8(..8) == 0 { &inner.good } else { &inner.to_revoke };
        rng.choice(pool.iter()).copied()
    }

    pub fn class(&self, token: usize) -> Class {
        self.inner().tokens[token].token.class
    }

    /// Returns every revoked token, and the newest ones that are not revoked.
    pub fn everything(&self) -> Vec<usize> {
        let inner = self.inner();
        let revoked = inner.record.revocations.iter().map(|revocation| revocation.token);
        revoked.chain(inner.good.iter().rev().take(20).copied()).collect()
    }

    pub fn requested(&self, request: Request) {
        self.inner().record.requests.push(request);
    }

    pub fn probed(&self, probe: Probe) {
        self.inner().record.probes.push(probe);
    }

    pub fn held(&self, held: Held) {
        self.inner().record.held.push(held);
    }

    /// Returns the probes that this process answered.
    pub fn probes_of(&self, life: usize) -> Vec<Probe> {
        let inner = self.inner();
        inner.record.probes.iter().filter(|probe| probe.life == life).cloned().collect()
    }

    pub fn injected(&self, fault: Injected) {
        self.inner().record.faults.push(fault);
    }

    pub fn started(&self, life: ReaderLife) -> usize {
        let lives = &mut self.inner().record.lives;
        lives.push(life);
        lives.len() - 1
    }

    /// Records that the view of this process can be proven from now on.
    pub fn provable(&self, life: usize, at: At) {
        self.inner().record.lives[life].unproven_until = at;
    }

    /// Records that the process is about to be ended.
    pub fn leaving(&self, life: usize, at: At) {
        self.inner().record.lives[life].leaving = Some(at);
    }

    pub fn ended(&self, life: usize, at: At, died: bool) {
        let life = &mut self.inner().record.lives[life];
        life.ended = Some(at);
        life.died = died;
    }

    pub fn record(&self) -> Record {
        let inner = self.inner();
        let tokens = inner.tokens.iter().map(|minted| minted.token).collect();
        Record { tokens, ..inner.record.clone() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics here")
    }
}
