//! Where webhooks may lead: to public addresses alone. A URL is judged by its form when it is given and before each
//! attempt; a name by every address that it resolves to, at the moment of the connection, which is made to one of just
//! those. So neither a name, nor a redirect, nor an answer of the DNS that changes leads inside.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The longest URL.
const URL_MOST: usize = 2_048;
/// Of the ports that the system gives away, HTTPS's own alone; a webhook is no way to knock at others.
const HTTPS: u16 = 443;
const FIRST_FREE_PORT: u16 = 1_024;

/// Whether this machine may be called, which development needs and a deployment never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// As any other private address: refused.
    Closed,
    /// Allowed, also without TLS.
    Open,
}

impl Loopback {
    /// As `PERSONA_WEBHOOKS_LOOPBACK` says.
    pub fn from_environment() -> Self {
        if crate::config::loopback_is_open() { Self::Open } else { Self::Closed }
    }
}

/// Why nothing is sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden(String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Forbidden {}

/// The URL, if its form leads nowhere forbidden. Numbers in any notation are addresses: `0x7f.1` is `127.0.0.1`.
pub fn checked(text: &str, loopback: Loopback) -> Result<Url, Forbidden> {
    let forbidden = |why: String| Err(Forbidden(why));
    if text.len() > URL_MOST {
        return forbidden(format!("The URL has {} bytes; at most {URL_MOST} are allowed.", text.len()));
    }
    let shown: String = text.chars().take(80).collect();
    let Ok(url) = Url::parse(text) else {
        return forbidden(format!("\"{shown}\" is not a URL. Send one such as https://example.com/hook."));
    };
    let here = loopback == Loopback::Open && is_here(&url);
    if url.scheme() != "https" && !(here && url.scheme() == "http") {
        return forbidden(format!("\"{shown}\" is not an https URL. Use https://."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return forbidden(
            "The URL has a user name or a password in it. Check the signature instead.".to_owned(),
        );
    }
    if url.fragment().is_some() {
        return forbidden("The URL has a fragment (#…), which is never sent. Leave it out.".to_owned());
    }
    if here {
        return Ok(url);
    }
    if let Some(port) = url.port().filter(|port| *port != HTTPS && *port < FIRST_FREE_PORT) {
        return forbidden(format!(
            "Port {port} is not allowed. Use {HTTPS}, or one from {FIRST_FREE_PORT} on."
        ));
    }
    match url.host() {
        Some(Host::Ipv4(ip)) => check_address(IpAddr::V4(ip), Loopback::Closed)?,
        Some(Host::Ipv6(ip)) => check_address(IpAddr::V6(ip), Loopback::Closed)?,
        Some(Host::Domain(name)) => check_name(name)?,
        None => return forbidden(format!("\"{shown}\" names no host.")),
    }
    Ok(url)
}

/// Whether a URL names this machine outright.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Suffixes of names that mean something inside of a network alone.
const INSIDE: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "localdomain",
    "intranet",
    "lan",
    "corp",
    "home",
    "private",
    "home.arpa",
];

fn check_name(name: &str) -> Result<(), Forbidden> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let within = |suffix: &&&str| name == **suffix || name.ends_with(&format!(".{suffix}"));
    if let Some(suffix) = INSIDE.iter().find(within) {
        return Err(Forbidden(format!(
            "\"{name}\" is a name of a private network (.{suffix}). Use a public one."
        )));
    }
    if !name.contains('.') {
        return Err(Forbidden(format!("\"{name}\" has no domain. Use a public name.")));
    }
    Ok(())
}

/// Refuses an address that is not public.
pub fn check_address(ip: IpAddr, loopback: Loopback) -> Result<(), Forbidden> {
    if loopback == Loopback::Open && ip.is_loopback() {
        return Ok(());
    }
    let kind = match ip {
        IpAddr::V4(ip) => kind_of_v4(ip),
        IpAddr::V6(ip) => kind_of_v6(ip),
    };
    kind.map_or(Ok(()), |kind| Err(Forbidden(format!("{ip} is {kind}. Use a public address."))))
}

/// Networks of IPv4 that no webhook may reach: IANA's registry of special-purpose addresses, multicast and what lies
/// above it, and the address at which Azure's machines find their host.
const FORBIDDEN_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "an address of this network"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "a shared address of a provider"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([168, 63, 129, 16], 32, "a metadata address"),
    ([169, 254, 0, 0], 16, "a link-local or metadata address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "a reserved address"),
    ([192, 0, 2, 0], 24, "an address of documentation"),
    ([192, 88, 99, 0], 24, "an address of a 6to4 relay"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "an address of benchmarks"),
    ([198, 51, 100, 0], 24, "an address of documentation"),
    ([203, 0, 113, 0], 24, "an address of documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "a reserved address"),
];

fn kind_of_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let within = |network: &[u8; 4], bits: u32| {
        let mask = u32::MAX << (32 - bits);
        u32::from(ip) & mask == u32::from(Ipv4Addr::from(*network)) & mask
    };
    FORBIDDEN_V4.iter().find(|(network, bits, _)| within(network, *bits)).map(|(_, _, kind)| *kind)
}

/// Of IPv6 only 2000::/3 is public; of that, these are not, or carry an address of IPv4 that would have to be judged by
/// where a gateway takes it.
const FORBIDDEN_V6: &[([u16; 3], u32, &str)] = &[
    ([0x2001, 0, 0], 32, "a Teredo address"),
    ([0x2001, 0xdb8, 0], 32, "an address of documentation"),
    ([0x2001, 0, 0], 23, "a reserved address"),
    ([0x2002, 0, 0], 16, "a 6to4 address"),
    ([0x3fff, 0, 0], 20, "an address of documentation"),
];

fn kind_of_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let segments = ip.segments();
    if ip.is_loopback() {
        return Some("a loopback address");
    }
    if ip.is_multicast() {
        return Some("a multicast address");
    }
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] => return Some("an IPv4 address in an IPv6 form"),
        [0, 0, 0, 0, 0, 0, ..] => return Some("an IPv4 address in an IPv6 form, or none"),
        [0x64, 0xff9b, ..] => return Some("an address of a NAT64 gateway"),
        [first, ..] if first & 0xffc0 == 0xfe80 => return Some("a link-local address"),
        [first, ..] if first & 0xfe00 == 0xfc00 => return Some("a private address"),
        [first, ..] if first & 0xe000 != 0x2000 => return Some("a reserved address"),
        _ => {}
    }
    let bits_of = |[a, b, c]: [u16; 3]| (u64::from(a) << 32) | (u64::from(b) << 16) | u64::from(c);
    let head = bits_of([segments[0], segments[1], segments[2]]);
    let within = |network: [u16; 3], bits: u32| head >> (48 - bits) == bits_of(network) >> (48 - bits);
    FORBIDDEN_V6.iter().find(|(network, bits, _)| within(*network, *bits)).map(|(_, _, kind)| *kind)
}

/// Asks the DNS. A trait, because the DNS is a real border: tests must be able to have it lie.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Every address of a name.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own way to ask.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver that hands out nothing but checked addresses: the connection is made to one of those, and to no other.
#[derive(Debug)]
pub struct Guarded<L> {
    lookup: Arc<L>,
    loopback: Loopback,
}

impl<L: Lookup> Guarded<L> {
    /// A resolver that asks `lookup`.
    pub fn new(lookup: L, loopback: Loopback) -> Self {
        Self { lookup: Arc::new(lookup), loopback }
    }
}

impl<L: Lookup> Resolve for Guarded<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, loopback) = (Arc::clone(&self.lookup), self.loopback);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await?;
            // One bad address condemns the name: who mixes them is up to something.
            for ip in &found {
                check_address(*ip, loopback)?;
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    fn refused(text: &str) -> bool {
        checked(text, Loopback::Closed).is_err()
    }

    #[test]
    fn a_public_address_is_allowed_by_name_and_by_number() {
        for text in [
            "https://example.com",
            "https://hooks.example.com:8443/persona?tenant=1",
            "https://example.com:443/",
            "https://8.8.8.8/hook",
            "https://[2606:4700::1111]/hook",
            "https://xn--bcher-kva.example/",
        ] {
            assert_eq!(checked(text, Loopback::Closed).map(|_| ()), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_url_of_another_scheme_or_with_a_user_or_a_low_port_is_refused() {
        for text in [
            "http://example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "gopher://example.com",
            "javascript:alert(1)",
            "example.com/hook",
            "//example.com",
            "",
            "https://",
            "https://user@example.com",
            "https://user:secret@example.com",
            "https://example.com@127.0.0.1/",
            "https://example.com#fragment",
            "https://example.com:22",
            "https://example.com:80",
            "https://example.com:6",
        ] {
            assert!(refused(text), "{text}");
        }
        assert!(refused(&format!("https://example.com/{}", "x".repeat(URL_MOST))));
    }

    #[test]
    fn loopback_is_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "127.255.255.254",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "127%2e0.0.1",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "foo.localhost",
            "loc%61lhost",
        ] {
            assert!(refused(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn private_networks_are_refused() {
        for host in [
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "0xc0a80001",
            "3232235521",
            "100.64.0.1",
            "100.127.255.255",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fec0::1]",
            "[::ffff:10.0.0.1]",
            "printer.local",
            "db.internal",
            "router.lan",
            "wiki.corp",
            "nas.home.arpa",
            "intranet",
            "kubernetes",
        ] {
            assert!(refused(&format!("https://{host}/")), "{host}");
        }
        for host in ["172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1", "mylocal.example"] {
            assert!(!refused(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[fe80::1]",
            "[febf::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "metadata.google.internal",
            "metadata",
        ] {
            assert!(refused(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn ipv6_forms_that_carry_an_ipv4_address_are_refused() {
        for host in [
            "[64:ff9b::7f00:1]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2002:a9fe:a9fe::1]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "[2001::1]",
            "[::ffff:8.8.8.8]",
            "[::8.8.8.8]",
        ] {
            assert!(refused(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn multicast_documentation_and_reserved_addresses_are_refused() {
        for host in [
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.88.99.1",
            "[ff02::1]",
            "[2001:db8::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
            "[4000::1]",
        ] {
            assert!(refused(&format!("https://{host}/")), "{host}");
        }
    }

    #[test]
    fn the_development_switch_opens_loopback_and_nothing_else() {
        let open = |text: &str| checked(text, Loopback::Open).is_ok();
        for text in ["http://127.0.0.1:9999/hook", "http://localhost:80/", "https://[::1]:8443/"] {
            assert!(open(text), "{text}");
        }
        for text in [
            "http://example.com",
            "https://10.0.0.1/",
            "https://169.254.169.254/",
            "http://foo.localhost/",
            "ftp://127.0.0.1/",
        ] {
            assert!(!open(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "(https?://)?\\PC{0,60}") {
            let _ = checked(&text, Loopback::Closed);
        }

        #[test]
        fn an_address_within_another_form_is_never_better_than_itself(ip: u32) {
            let v4 = Ipv4Addr::from(ip);
            prop_assert!(check_address(IpAddr::V6(v4.to_ipv6_mapped()), Loopback::Closed).is_err());
            let by_number = refused(&format!("https://{ip}/"));
            prop_assert_eq!(by_number, check_address(IpAddr::V4(v4), Loopback::Closed).is_err());
        }
    }

    /// A DNS that says something else each time it is asked, and the last thing for ever.
    struct Scripted {
        answers: Vec<Vec<IpAddr>>,
        asked: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl Lookup for Scripted {
        async fn lookup(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(self.answers[turn.min(self.answers.len() - 1)].clone())
        }
    }

    fn client(answers: &[&[&str]], loopback: Loopback) -> (reqwest::Client, Arc<AtomicUsize>) {
        let answers = answers.iter().map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let lookup = Scripted { answers, asked: Arc::clone(&asked) };
        let builder = reqwest::Client::builder().no_proxy().dns_resolver(Guarded::new(lookup, loopback));
        (builder.build().unwrap(), asked)
    }

    /// A port on loopback, and how many have connected to it.
    async fn listener() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let met = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&met);
        tokio::spawn(async move {
            while let Ok((_, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        (port, met)
    }

    fn cause(error: &reqwest::Error) -> String {
        let mut told = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = source {
            told = error.to_string();
            source = error.source();
        }
        told
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_before_anybody_is_met() {
        let (port, met) = listener().await;
        for inside in ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"]
        {
            let (client, _) = client(&[&[inside]], Loopback::Closed);
            let error = client.get(format!("http://hooks.example:{port}/")).send().await.unwrap_err();
            assert!(cause(&error).ends_with("Use a public address."), "{inside}: {}", cause(&error));
        }
        assert_eq!(met.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn one_inside_address_among_public_ones_condemns_the_name() {
        let (port, met) = listener().await;
        let (client, _) = client(&[&["93.184.216.34", "127.0.0.1"]], Loopback::Closed);
        let error = client.get(format!("http://hooks.example:{port}/")).send().await.unwrap_err();
        assert!(cause(&error).contains("127.0.0.1 is a loopback address"), "{}", cause(&error));
        assert_eq!(met.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_dns_that_changes_its_answer_gains_nothing() {
        let (port, met) = listener().await;
        // What was public when the webhook was made is loopback when it is called.
        let (client, asked) = client(&[&["93.184.216.34"], &["127.0.0.1"]], Loopback::Closed);
        let guarded = Guarded::new(
            Scripted {
                answers: vec![vec!["93.184.216.34".parse().unwrap()]],
                asked: Arc::new(AtomicUsize::new(0)),
            },
            Loopback::Closed,
        );
        let first: Vec<SocketAddr> =
            guarded.resolve("hooks.example".parse().unwrap()).await.unwrap().collect();
        assert_eq!(first, ["93.184.216.34:0".parse().unwrap()], "what is checked is what is handed out");
        asked.store(1, Ordering::SeqCst);
        let error = client.get(format!("http://hooks.example:{port}/")).send().await.unwrap_err();
        assert!(cause(&error).contains("loopback"), "{}", cause(&error));
        assert_eq!(met.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_connection_is_made_to_the_address_that_was_checked_without_asking_again() {
        let (port, met) = listener().await;
        // The second answer would lead nowhere; nobody asks for it.
        let (client, asked) = client(&[&["127.0.0.1"], &["192.0.2.1"]], Loopback::Open);
        let _closed_without_an_answer = client
            .get(format!("http://hooks.example:{port}/"))
            .timeout(std::time::Duration::from_secs(2))
            .send()
            .await;
        assert_eq!((asked.load(Ordering::SeqCst), met.load(Ordering::SeqCst)), (1, 1));
    }
}
