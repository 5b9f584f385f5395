//! The published vectors: AWS's signature version 4 test suite, and the examples in the guides of IAM and S3.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn request<'a>(method: &'a str, url: &'a str, headers: &'a [(String, String)]) -> SigV4Request<'a> {
    SigV4Request {
        access_key_id: "AKIDEXAMPLE",
        session_token: None,
        region: "us-east-1",
        service: "service",
        method,
        url,
        headers,
        body: b"",
    }
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

fn authorization(request: &SigV4Request<'_>, time: &str) -> String {
    let signed = sign(SECRET, request, &request.destination().unwrap(), at(time)).unwrap();
    signed.into_iter().find(|(name, _)| *name == "authorization").unwrap().1
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn signatures_are_those_of_the_test_suite() {
    let base = "https://example.amazonaws.com";
    let sort = [header("My-Header1", "value1")];
    let trim = [header("My-Header1", "value1"), header("My-Header2", "\"a   b   c\"")];
    for (method, path, headers, signature) in [
        ("GET", "/", &[][..], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", &[], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", &sort, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        ("GET", "/", &trim, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
    ] {
        let url = format!("{base}{path}");
        let signed = authorization(&request(method, &url, headers), "2015-08-30T12:36:00Z");
        assert!(signed.ends_with(&format!("Signature={signature}")), "{path} {signed}");
    }
}

#[test]
fn a_session_token_is_signed_and_sent() {
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    let request = SigV4Request {
        session_token: Some(token),
        ..request("GET", "https://example.amazonaws.com/", &[])
    };
    assert_eq!(
        authorization(&request, "2015-08-30T12:36:00Z"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-security-token, \
         Signature=07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    );
}

#[test]
fn the_iam_guide_s_example_comes_out() {
    let headers = [header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
    let request = SigV4Request { service: "iam", ..request("GET", url, &headers) };
    assert!(
        authorization(&request, "2015-08-30T12:36:00Z").ends_with(
            "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        )
    );
}

#[test]
fn the_s3_guide_s_example_comes_out() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let headers = [header("Range", "bytes=0-9")];
    let request = SigV4Request {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        service: "s3",
        ..request("GET", "https://examplebucket.s3.amazonaws.com/test.txt", &headers)
    };
    let to = request.destination().unwrap();
    let signed = sign(secret, &request, &to, at("2013-05-24T00:00:00Z")).unwrap();
    assert!(signed.contains(&("x-amz-content-sha256", EMPTY.to_owned())));
    assert!(
        signed.last().unwrap().1.ends_with(
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )
    );
}

#[test]
fn paths_are_encoded_once_more_but_not_for_s3() {
    let url = "https://a.example/test/@connections/JBDvjfGEIAMCERw%3D";
    let to = Destination::parse(url).unwrap();
    assert_eq!(path(&to, "execute-api"), "/test/%40connections/JBDvjfGEIAMCERw%253D");
    assert_eq!(path(&to, "s3"), "/test/%40connections/JBDvjfGEIAMCERw%3D");
    let slashes = Destination::parse("https://a.example//a//b/").unwrap();
    assert_eq!((path(&slashes, "x"), path(&slashes, "s3")), ("/a/b/".into(), "//a//b/".into()));
}

#[test]
fn fields_that_would_change_the_signature_s_header_are_refused() {
    let good = request("GET", "https://a.example/", &[]);
    for bad in ["", "a/b", "a,b", "a b", "a\r\nb", &"a".repeat(129)] {
        for request in [
            SigV4Request { access_key_id: bad, ..good.clone() },
            SigV4Request { region: bad, ..good.clone() },
            SigV4Request { service: bad, ..good.clone() },
        ] {
            let to = request.destination().unwrap();
            assert!(sign(SECRET, &request, &to, at("2015-08-30T12:36:00Z")).is_err(), "{bad:?}");
        }
    }
    assert!(SigV4Request { region: &"a".repeat(128), ..good }.check().is_ok());
}
