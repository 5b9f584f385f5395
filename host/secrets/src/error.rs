//! What can go wrong with secrets. No message has a value, or a part of one.

/// Why a secret cannot be stored as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The name does not fit the pattern.
    #[error(
        "a secret's name begins with a letter and has at most 64 letters, digits, `_`, `-` and `.`"
    )]
    Name,
    /// What is shorter could not be taken out of texts: it would be found everywhere.
    #[error(
        "the value has {0} bytes; a secret has at least 8, so that it can be taken out of logs"
    )]
    TooShort(usize),
    /// Over the limit.
    #[error("the value has {0} bytes; a secret has at most 65536")]
    TooLong(usize),
    /// Over the limit.
    #[error("the secret has {0} destinations; at most 64 are allowed")]
    TooManyRules(usize),
}

/// Why something cannot be opened, or no keyring made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a key.
    #[error("key {number} is not the base64 of 32 bytes; `openssl rand -base64 32` makes one")]
    Key {
        /// Which of the list, from 1.
        number: usize,
    },
    /// Twice the same.
    #[error("key {number} is in the list twice")]
    Repeated {
        /// Which of the list, from 1.
        number: usize,
    },
    /// An empty list.
    #[error("there is no key; `openssl rand -base64 32` makes one")]
    NoKey,
    /// Sealed with a key that this process does not have.
    #[error(
        "the secret `{name}` is sealed with the key {key_id}, which is not among this process's keys ({known}); \
         add that key behind the first one, or set the secret again"
    )]
    UnknownKey {
        /// The secret's name.
        name: String,
        /// The key's id.
        key_id: String,
        /// The ids of the keys that there are.
        known: String,
    },
    /// The bytes, the name, the namespace or the destinations are not those that were sealed.
    #[error(
        "the secret `{name}` cannot be opened: what is stored was changed since it was sealed; set it again"
    )]
    Broken {
        /// The secret's name.
        name: String,
    },
}

/// Why nothing was signed or revealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The namespace has no such secret.
    #[error("there is no secret `{name}`; set it with `stateflow secrets set {name}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// There is one, and it cannot be opened.
    #[error("the secret `{name}` cannot be used: {why}")]
    Closed {
        /// The name that was asked for.
        name: String,
        /// Why not.
        why: String,
    },
    /// It is not among those that the step may use in this way.
    #[error("the secret `{name}` is not granted to this step for {what}")]
    NotAllowed {
        /// The secret's name.
        name: String,
        /// For what: placeholders, signatures, or revealing it.
        what: &'static str,
    },
    /// The secret, or what was to be signed, does not fit.
    #[error("cannot sign with the secret `{name}`: {fault}")]
    Malformed {
        /// The secret's name.
        name: String,
        /// What does not fit.
        fault: String,
    },
    /// Over the limit.
    #[error("what is to be signed has {bytes} bytes; at most {limit} are")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
}
