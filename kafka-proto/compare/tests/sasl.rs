//! Our SASL mechanisms against those of the crate `rsasl`: each side of ours talks with the other side of theirs.
//!
//! Names and passwords are printable ASCII: `rsasl` normalises with SASLprep, and Kafka does not.

use std::{io::Cursor, sync::Arc};

use kafka_proto::sasl::{
    Mechanism, Plain, PlainCredentials, Scram, ScramClientFirst, ScramCredential, ScramHash, Step,
    nonce,
};
use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    mechanisms::scram::properties::ScramStoredPassword,
    mechname::Mechname,
    prelude::{SASLClient, SASLConfig, SASLServer, SessionError},
    property::{AuthId, Password},
    validate::{Validate, Validation, ValidationError},
};
use test_support::SplitMix64;

const ROUNDS: u64 = 16;

fn text(random: &mut SplitMix64, most: u64) -> String {
    let len = random.next_u64() % most + 1;
    (0..len)
        .map(|_| char::from(b' ' + (random.next_u64() % 95) as u8))
        .collect()
}

fn hash_of(round: u64) -> ScramHash {
    [ScramHash::Sha256, ScramHash::Sha512][round as usize % 2]
}

fn mechname(name: &str) -> &Mechname {
    Mechname::parse(name.as_bytes()).expect("a registered name")
}

#[test]
fn their_client_is_let_in_by_our_server_exactly_with_the_right_password() {
    let mut random = SplitMix64::new(3);
    for round in 0..ROUNDS {
        let (username, password) = (text(&mut random, 30), text(&mut random, 30));
        let is_right = !random.next_u64().is_multiple_of(4);
        let hash = hash_of(round);
        let stored = if is_right {
            password.clone()
        } else {
            format!("{password}!")
        };
        let salt = random.next_u64().to_be_bytes();
        let credential = ScramCredential::new(hash, &stored, &salt, 4096);

        let config = SASLConfig::with_credentials(None, username.clone(), password)
            .expect("credentials without a callback of our own");
        let mut client = SASLClient::new(config)
            .start_suggested(&[mechname(hash.mechanism())])
            .expect("both know the mechanism");
        let mut step = |input: Option<&[u8]>| {
            let mut out = Cursor::new(Vec::new());
            client.step(input, &mut out).map(|_| out.into_inner())
        };
        let message = step(None).expect("its first message");
        let first = ScramClientFirst::read(hash, &message).expect("it is well formed");
        assert_eq!(first.username(), username);
        let (challenge, exchange) = first
            .challenge(credential, "fyko+d2lbbFgONRv9qkxdawL")
            .expect("a good credential");
        let proof = step(Some(&challenge)).expect("its proof");
        match exchange.finish(&proof) {
            Ok(signature) => {
                assert!(is_right);
                step(Some(&signature)).expect("it accepts our proof");
            }
            Err(_) => assert!(!is_right, "{username:?}"),
        }
    }
}

/// Knows one user.
struct OneUser {
    username: String,
    credential: ScramCredential,
    password: String,
}

/// Whether PLAIN's password was right.
struct IsRight;

impl Validation for IsRight {
    type Value = bool;
}

impl SessionCallback for OneUser {
    fn callback(
        &self,
        _session: &SessionData,
        context: &Context,
        request: &mut Request,
    ) -> Result<(), SessionError> {
        if context.get_ref::<AuthId>() == Some(&self.username) {
            request.satisfy::<ScramStoredPassword>(&ScramStoredPassword::new(
                self.credential.iterations,
                &self.credential.salt,
                &self.credential.stored_key,
                &self.credential.server_key,
            ))?;
        }
        Ok(())
    }

    fn validate(
        &self,
        _session: &SessionData,
        context: &Context,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        validate.with::<IsRight, _>(|| {
            let is_user = context.get_ref::<AuthId>() == Some(&self.username);
            let password = context.get_ref::<Password>();
            Ok(is_user && password.is_none_or(|password| password == self.password.as_bytes()))
        })?;
        Ok(())
    }
}

fn their_server(user: OneUser) -> SASLServer<IsRight> {
    let config: Arc<SASLConfig> = SASLConfig::builder()
        .with_defaults()
        .with_callback(user)
        .expect("a server needs its callback only");
    SASLServer::new(config)
}

#[test]
fn our_client_is_let_in_by_their_server_exactly_with_the_right_password() {
    let mut random = SplitMix64::new(4);
    for round in 0..ROUNDS {
        let (username, password) = (text(&mut random, 30), text(&mut random, 30));
        let is_right = !random.next_u64().is_multiple_of(4);
        let hash = hash_of(round);
        let salt = random.next_u64().to_be_bytes();
        let user = OneUser {
            // Their server does not undo the escaping of a name.
            username: username.replace('=', "=3D").replace(',', "=2C"),
            credential: ScramCredential::new(hash, &password, &salt, 4096),
            password: password.clone(),
        };
        let mut server = their_server(user)
            .start_suggested(mechname(hash.mechanism()))
            .expect("both know the mechanism");
        let mut step = |input: &[u8]| {
            let mut out = Cursor::new(Vec::new());
            server.step(Some(input), &mut out).map(|_| out.into_inner())
        };
        let sent = if is_right {
            password
        } else {
            format!("{password}!")
        };
        let nonce = nonce([round as u8; 18]);
        let mut client = Scram::new(hash, &username, &sent, &nonce).expect("good credentials");
        let challenge =
            step(&client.start().expect("our first message")).expect("it accepts our first");
        let Step::Send(proof) = client.answer(&challenge).expect("its challenge is good") else {
            panic!("SCRAM takes two rounds");
        };
        match step(&proof) {
            Ok(signature) if is_right => {
                assert_eq!(client.answer(&signature), Ok(Step::Done));
            }
            // It may refuse by a message, too.
            Ok(refusal) => assert!(client.answer(&refusal).is_err(), "{username:?}"),
            Err(error) => assert!(!is_right, "{username:?}: {error}"),
        }
    }
}

#[test]
fn plain_is_read_alike_by_both() {
    let mut random = SplitMix64::new(5);
    for _ in 0..ROUNDS {
        let (username, password) = (text(&mut random, 30), text(&mut random, 30));
        let config = SASLConfig::with_credentials(None, username.clone(), password.clone())
            .expect("credentials without a callback of our own");
        let mut client = SASLClient::new(config)
            .start_suggested(&[mechname("PLAIN")])
            .expect("both know PLAIN");
        let mut out = Cursor::new(Vec::new());
        client.step(None, &mut out).expect("its only message");
        let theirs = out.into_inner();
        let ours = Plain::new(&username, &password).and_then(|mut plain| plain.start());
        assert_eq!(ours.as_ref(), Ok(&theirs));
        let read = PlainCredentials::read(&theirs).expect("it is well formed");
        assert_eq!((read.username, read.password), (&*username, &*password));
    }
}
