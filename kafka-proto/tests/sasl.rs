//! SASL: published exchanges, what each side refuses, and properties over any names, passwords and bytes.
#![cfg(feature = "sasl")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "../fuzz/src/sasl.rs"]
mod fuzz;

use kafka_proto::sasl::{
    ITERATIONS_MAX, Mechanism, OauthBearer, OauthToken, Plain, PlainCredentials, SaslError, Scram,
    ScramClientFirst, ScramCredential, ScramHash, Step, nonce,
};
use proptest::prelude::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

/// RFC 7677, section 3.
const SERVER_FIRST: &[u8] =
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

/// A client that has sent its first message.
fn client() -> Scram {
    let mut client = Scram::new(ScramHash::Sha256, "user", "pencil", NONCE).unwrap();
    client.start().unwrap();
    client
}

/// A client that waits for the server's proof.
fn proved() -> Scram {
    let mut client = client();
    client.answer(SERVER_FIRST).unwrap();
    client
}

#[test]
fn the_exchange_of_rfc_7677_comes_out() {
    let mut client = Scram::new(ScramHash::Sha256, "user", "pencil", NONCE).unwrap();
    assert_eq!(client.start().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let step = client.answer(SERVER_FIRST).unwrap();
    let Step::Send(proof) = step else {
        panic!("{step:?}")
    };
    assert_eq!(
        proof,
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(client.answer(SERVER_FINAL).unwrap(), Step::Done);
}

#[test]
fn each_malformed_first_message_of_the_server_is_refused_with_what_is_wrong() {
    let rest = "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    for (message, what) in [
        (String::new(), "does not begin with a nonce"),
        ("r=".to_owned(), "does not begin with a nonce"),
        (format!("x={NONCE},{rest}"), "does not begin with a nonce"),
        (format!("r={NONCE} ,{rest}"), "does not begin with a nonce"),
        (format!("m=x,r={NONCE},{rest}"), "demands an extension"),
        (format!("r={NONCE}"), "no salt"),
        (format!("r={NONCE},"), "nonce"),
        (format!("r={NONCE},i=4096,s="), "no salt"),
        (
            format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096"),
            "salt is not base64",
        ),
        (format!("r={NONCE},s=W22!,i=4096"), "salt is not base64"),
        (format!("r={NONCE},s=W22Z"), "no iteration count"),
        (format!("r={NONCE},s=W22Z,i="), "not a number"),
        (format!("r={NONCE},s=W22Z,i=+4096"), "not a number"),
        (format!("r={NONCE},s=W22Z,i=-1"), "not a number"),
        (format!("r={NONCE},s=W22Z,i=4294967296"), "not a number"),
        (format!("r={NONCE},{rest},"), "no iteration count"),
        (format!("r={NONCE},{rest},x"), "not a list of extensions"),
        (format!("r={NONCE},{rest},x=1,"), "not a list of extensions"),
        (format!("r={NONCE},{rest},1=x"), "not a list of extensions"),
    ] {
        let error = client().answer(message.as_bytes()).unwrap_err();
        assert!(
            matches!(error, SaslError::Malformed { .. }) && error.to_string().contains(what),
            "{message}: {error}"
        );
    }
    let not_utf8 = client().answer(b"r=\xff").unwrap_err();
    assert!(not_utf8.to_string().contains("UTF-8"), "{not_utf8}");
    // Extensions are passed over.
    let message = format!("r={NONCE}x,{rest},ext=a=b,other=c");
    assert!(client().answer(message.as_bytes()).is_ok());
}

#[test]
fn each_malformed_last_message_of_the_server_is_refused_with_what_is_wrong() {
    for (message, what) in [
        (&b""[..], "begins neither"),
        (b"w=AAAA", "begins neither"),
        (
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
            "not base64",
        ),
        (
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x",
            "extensions",
        ),
        (b"v=\xff", "UTF-8"),
    ] {
        let error = proved().answer(message).unwrap_err();
        assert!(
            matches!(error, SaslError::Malformed { .. }) && error.to_string().contains(what),
            "{message:?}: {error}"
        );
    }
    let with_extension = [SERVER_FINAL, b",x=y"].concat();
    assert_eq!(proved().answer(&with_extension).unwrap(), Step::Done);
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    for signature in ["", "AAAA", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8="] {
        let error = proved().answer(format!("v={signature}").as_bytes());
        assert!(
            matches!(error, Err(SaslError::ServerSignature { .. })),
            "{signature}: {error:?}"
        );
    }
}

#[test]
fn a_refusal_is_shown_in_the_servers_words() {
    let error = proved().answer(b"e=invalid-proof").unwrap_err();
    assert_eq!(
        error.to_string(),
        "SCRAM-SHA-256 was refused: invalid-proof"
    );
    // Some servers refuse an unknown user at once.
    let error = client().answer(b"e=unknown-user\x1b[2J").unwrap_err();
    assert_eq!(
        error.to_string(),
        "SCRAM-SHA-256 was refused: unknown-user\u{fffd}[2J"
    );
}

#[test]
fn too_few_and_absurdly_many_iterations_are_refused_before_they_are_computed() {
    for (iterations, is_accepted) in [
        (0, false),
        (1, false),
        (4095, false),
        (4096, true),
        (u64::from(ITERATIONS_MAX) + 1, false),
        (u64::from(u32::MAX), false),
    ] {
        let message = format!("r={NONCE}x,s=W22Z,i={iterations}");
        let result = client().answer(message.as_bytes());
        assert_eq!(result.is_ok(), is_accepted, "{iterations}: {result:?}");
        if !is_accepted {
            assert!(matches!(result, Err(SaslError::Iterations { .. })));
        }
    }
}

#[test]
fn the_answer_of_another_exchange_is_refused() {
    let error = client().answer(b"r=xOprNGfwEbeRWgbNEkqO%,s=W22Z,i=4096");
    assert!(matches!(error, Err(SaslError::ServerNonce { .. })));
}

#[test]
fn an_exchange_that_failed_is_over() {
    let mut client = client();
    assert!(client.answer(b"").is_err());
    assert!(matches!(
        client.answer(SERVER_FIRST),
        Err(SaslError::OutOfTurn { .. })
    ));
    assert!(client.start().is_err());
    let mut fresh = Scram::new(ScramHash::Sha512, "user", "pencil", NONCE).unwrap();
    assert!(fresh.answer(SERVER_FIRST).is_err(), "nothing was sent yet");
}

#[test]
fn nonces_that_would_break_the_message_are_refused() {
    for nonce in ["", "a,b", "a b", "ü", "a\u{7f}"] {
        assert!(
            Scram::new(ScramHash::Sha256, "u", "p", nonce).is_err(),
            "{nonce:?}"
        );
    }
    assert!(Scram::new(ScramHash::Sha256, "u\0", "p", "n").is_err());
    assert!(Scram::new(ScramHash::Sha256, "u", "p", &nonce([0; 18])).is_ok());
}

#[test]
fn commas_and_equal_signs_in_names_are_escaped() {
    let mut client = Scram::new(ScramHash::Sha256, "a,b=c=2C", "p", "n").unwrap();
    let message = client.start().unwrap();
    assert_eq!(message, b"n,,n=a=2Cb=3Dc=3D2C,r=n");
    let read = ScramClientFirst::read(ScramHash::Sha256, &message).unwrap();
    assert_eq!(read.username(), "a,b=c=2C");
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let client = Scram::new(ScramHash::Sha512, "user", "pencil", NONCE).unwrap();
    let keys = ScramHash::Sha512.keys("pencil", b"salt", 4096);
    let credential = ScramCredential::new(ScramHash::Sha512, "pencil", b"salt", 4096);
    assert_eq!(
        format!("{client:?} {keys:?} {credential:?}"),
        "SCRAM-SHA-512 ScramKeys ScramCredential { hash: Sha512, iterations: 4096, .. }"
    );
}

#[test]
fn the_server_refuses_what_is_malformed() {
    let read = |message: &[u8]| ScramClientFirst::read(ScramHash::Sha256, message);
    for message in [
        &b""[..],
        b"n",
        b"n,",
        b"n,,",
        b"n,,r=x",
        b"n,,n=u",
        b"n,,n=u,",
        b"n,,n=u,r=",
        b"n,,n=u,r=a b",
        b"n,,n=,r=x",
        b"n,,n=\xc3\xbc,r=x",
        b"n,,n=a=b,r=x",
        b"n,,n=a=2,r=x",
        b"n,,n=u,r=x,tokenauth",
        b"n,a=v,n=u,r=x",
        b"n,b=u,n=u,r=x",
        b"y,,n=u,r=x",
        b"p=tls-unique,,n=u,r=x",
        b"n,,n=u,r=\xff",
    ] {
        assert!(read(message).is_err(), "{message:?}");
    }
    let first = read(b"n,a=a=2Cb,m=z,n=a=2Cb,r=x,tokenauth=true,other=y").unwrap();
    assert_eq!(first.username(), "a,b");
    assert!(first.is_token_auth());
    assert!(!read(b"n,,n=u,r=x,tokenauth=false").unwrap().is_token_auth());
}

#[test]
fn the_server_refuses_a_proof_that_is_not_of_this_exchange() {
    let credential = ScramCredential::new(ScramHash::Sha256, "pencil", b"salt", 4096);
    let begin = || {
        let mut client = Scram::new(ScramHash::Sha256, "user", "pencil", NONCE).unwrap();
        let first = ScramClientFirst::read(ScramHash::Sha256, &client.start().unwrap()).unwrap();
        let (challenge, exchange) = first.challenge(credential.clone(), "server").unwrap();
        let Step::Send(proof) = client.answer(&challenge).unwrap() else {
            panic!()
        };
        (String::from_utf8(proof).unwrap(), exchange)
    };
    let (proof, exchange) = begin();
    assert!(exchange.finish(proof.as_bytes()).is_ok());
    type Change = fn(&str) -> String;
    let changes: [(Change, &str); 7] = [
        (|proof| proof.replace("c=biws", "c=eSws"), "channel binding"),
        (|proof| proof.replace("server", "sorver"), "nonce"),
        (|proof| proof.replace(",p=", ",q="), "no proof"),
        (|proof| format!("{proof}="), "not base64"),
        (
            |proof| format!("{}p=AAAA", &proof[..proof.find("p=").unwrap()]),
            "Invalid client credentials",
        ),
        (
            |proof| proof.replace(",p=", ",x=y,p="),
            "Invalid client credentials",
        ),
        (|proof| proof.replace(",p=", ",x,p="), "extensions"),
    ];
    for (change, what) in changes {
        let (proof, exchange) = begin();
        let error = exchange.finish(change(&proof).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let first = ScramClientFirst::read(ScramHash::Sha256, b"n,,n=user,r=x").unwrap();
    let weak = ScramCredential::new(ScramHash::Sha256, "pencil", b"salt", 4095);
    assert!(first.clone().challenge(weak, "server").is_err());
    assert!(first.challenge(credential, "a,b").is_err());
}

fn hashes() -> impl Strategy<Value = ScramHash> {
    prop_oneof![Just(ScramHash::Sha256), Just(ScramHash::Sha512)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_sides_of_scram_agree_exactly_if_the_passwords_do(
        hash in hashes(), username in "[\\x01-\\x7f]{1,20}", password in "\\PC{0,20}", other in "\\PC{0,20}",
        salt in prop::collection::vec(any::<u8>(), 0..40), random in any::<[u8; 18]>(), token: bool,
    ) {
        for password_of_client in [&password, &other] {
            let mut client = Scram::new(hash, &username, password_of_client, &nonce(random)).unwrap();
            if token {
                client = client.with_token_auth();
            }
            let first = ScramClientFirst::read(hash, &client.start().unwrap()).unwrap();
            prop_assert_eq!(first.username(), &username);
            prop_assert_eq!(first.is_token_auth(), token);
            let credential = ScramCredential::new(hash, &password, &salt, 4096);
            let (challenge, exchange) = first.challenge(credential, "more").unwrap();
            let Step::Send(proof) = client.answer(&challenge).unwrap() else { panic!() };
            match exchange.finish(&proof) {
                Ok(answer) => {
                    prop_assert_eq!(password_of_client, &password);
                    prop_assert_eq!(client.answer(&answer), Ok(Step::Done));
                }
                Err(_) => prop_assert_ne!(password_of_client, &password),
            }
        }
    }
}

proptest! {
    #[test]
    fn names_and_passwords_come_through_plain(username in "[^\\x00]{1,30}", password in "[^\\x00]{1,30}") {
        let message = Plain::new(&username, &password).unwrap().start().unwrap();
        let read = PlainCredentials::read(&message).unwrap();
        prop_assert_eq!((read.username, read.password), (&*username, &*password));
    }

    #[test]
    fn tokens_and_extensions_come_through_oauthbearer(
        token in "[-._~+/a-zA-Z0-9]{1,40}={0,2}",
        extensions in prop::collection::vec(("[A-Zb-z][a-zA-Z]{0,9}", "[ -~\\t\\r\\n]{1,20}"), 0..4),
    ) {
        let pairs: Vec<_> = extensions.iter().map(|(name, value)| (&**name, &**value)).collect();
        let message = OauthBearer::new(&token, &pairs).unwrap().start().unwrap();
        let read = OauthToken::read(&message).unwrap();
        prop_assert_eq!(read.token, &token);
        prop_assert_eq!(read.extensions, pairs);
    }

    #[test]
    fn no_bytes_make_either_side_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::sasl(&data);
    }

    #[test]
    fn no_words_of_the_grammar_make_either_side_panic(
        kind in 0..8_u8,
        text in "(([nmrsicpvea]=|=2C|=3D|,|\\x00|\\x01|biws|4096|n,,|auth=Bearer |x|[0-9])){0,16}",
    ) {
        fuzz::sasl(&[&[kind], text.as_bytes()].concat());
    }
}
