//! What the fuzz target of SASL does with a piece of data; `tests/sasl.rs` does the same with the saved ones.
#![allow(clippy::unwrap_used, reason = "a target stops where it is surprised")]

use kafka_proto::sasl::{
    ITERATIONS_MIN, Mechanism, OauthBearer, OauthToken, Plain, PlainCredentials, SaslError, Scram,
    ScramClientFirst, ScramCredential, ScramHash, Step,
};

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
/// Spared so that the fuzzer spends its time on messages, not on iterations: the stored keys need not be those of a password.
const KEY: [u8; 32] = [7; 32];

/// The first byte chooses who reads the rest.
pub(crate) fn sasl(data: &[u8]) {
    let [kind, data @ ..] = data else { return };
    match kind % 6 {
        0 => server_first(data),
        1 => server_final(data),
        2 => client_first(data),
        3 => client_final(data),
        4 => plain(data),
        _ => oauthbearer(data),
    }
}

fn begun() -> Scram {
    let mut client = Scram::new(ScramHash::Sha256, "user", "pencil", NONCE).unwrap();
    client.start().unwrap();
    client
}

fn server_first(data: &[u8]) {
    // Counts that would be computed are not: only their least is let through.
    let text = String::from_utf8_lossy(data);
    let is_slow = text.split(",i=").skip(1).any(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse::<u64>()
            .is_ok_and(|count| count > ITERATIONS_MIN.into())
    });
    if is_slow {
        return;
    }
    let mut client = begun();
    match client.answer(data) {
        Ok(Step::Send(proof)) => {
            let nonce = text[2..].split(',').next().unwrap();
            assert!(nonce.starts_with(NONCE));
            assert!(proof.starts_with(format!("c=biws,r={nonce},p=").as_bytes()));
        }
        Ok(step) => panic!("{step:?} to server-first"),
        Err(_) => {
            let again = client.answer(data);
            assert!(matches!(again, Err(SaslError::OutOfTurn { .. })));
        }
    }
}

fn server_final(data: &[u8]) {
    thread_local! {
        static PROVED: Scram = {
            let mut client = begun();
            client.answer(format!("r={NONCE}x,s=c2FsdA==,i=4096").as_bytes()).unwrap();
            client
        };
    }
    let mut client = PROVED.with(Clone::clone);
    // Nobody guesses 32 bytes.
    let error = client.answer(data).unwrap_err();
    if let SaslError::Refused { reason, .. } = error {
        assert!(reason.len() <= 1200 && !reason.chars().any(char::is_control));
    }
}

fn client_first(data: &[u8]) {
    let Ok(first) = ScramClientFirst::read(ScramHash::Sha512, data) else {
        return;
    };
    // A client of that name says the same but for the parts that are free.
    let username = first.username().to_owned();
    assert!(!username.is_empty() && username.is_ascii());
    let mut client = Scram::new(ScramHash::Sha512, &username, "p", "n").unwrap();
    let again = ScramClientFirst::read(ScramHash::Sha512, &client.start().unwrap()).unwrap();
    assert_eq!(again.username(), username);
}

fn client_final(data: &[u8]) {
    let first = ScramClientFirst::read(ScramHash::Sha256, b"n,,n=user,r=x").unwrap();
    let credential = ScramCredential {
        hash: ScramHash::Sha256,
        salt: b"salt".to_vec(),
        iterations: 4096,
        stored_key: KEY.to_vec(),
        server_key: KEY.to_vec(),
    };
    let (_, exchange) = first.challenge(credential, "y").unwrap();
    assert!(exchange.finish(data).is_err(), "no key hashes to this one");
}

fn plain(data: &[u8]) {
    if let Ok(read) = PlainCredentials::read(data) {
        let message = Plain::new(read.username, read.password)
            .unwrap()
            .start()
            .unwrap();
        assert_eq!(PlainCredentials::read(&message), Ok(read));
    }
}

fn oauthbearer(data: &[u8]) {
    if let Ok(read) = OauthToken::read(data) {
        let message = OauthBearer::new(read.token, &read.extensions)
            .unwrap()
            .start()
            .unwrap();
        let again = OauthToken::read(&message).unwrap();
        assert_eq!(
            (again.token, again.extensions),
            (read.token, read.extensions)
        );
    }
    let mut client = OauthBearer::new("t", &[]).unwrap();
    client.start().unwrap();
    match client.answer(data).unwrap() {
        Step::Done => assert!(data.is_empty()),
        Step::Refused { farewell, .. } => assert_eq!(farewell, [1]),
        step @ Step::Send(_) => panic!("{step:?} to a refusal"),
    }
}
