"""Signing in to what is deployed, as a person, a program and a device: all that the roles of `/v1/auth` allow."""

import base64
import hashlib
import html
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request

from emulator import SmokeError

REDIRECT_URI = "http://127.0.0.1:49152/callback"
CLIENT = {"client_id": "persona-cli"}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
EMAIL = "smoke@people.example"


def prepare(emulator, outputs, base):
    """The pool's issuer is Cognito's address, and the API's is only known now: tells both, and makes an account."""
    manager, pools = emulator.client("secretsmanager"), emulator.client("cognito-idp")
    document = json.loads(manager.get_secret_value(SecretId=outputs["SignInSecret"])["SecretString"])
    pool = document["issuer"].rpartition("/")[2]
    manager.put_secret_value(SecretId=outputs["SignInSecret"], SecretString="{}")
    for endpoint in ("metadata", "device"):
        status, _, text = Browser().ask(f"{base}/v1/auth/{endpoint}")
        if status != 503 or "SIGN_IN_SECRET" not in text:
            raise SmokeError(f"where nobody signs people in, {endpoint} answers {status}: {text[:500]}")
    document |= {"base_url": base, "issuer_at": f"{emulator.url}/{pool}"}
    manager.put_secret_value(SecretId=outputs["SignInSecret"], SecretString=json.dumps(document))
    client = pools.describe_user_pool_client(UserPoolId=pool, ClientId=document["client_id"])["UserPoolClient"]
    kept = ("AllowedOAuthFlows", "AllowedOAuthScopes", "AllowedOAuthFlowsUserPoolClient", "SupportedIdentityProviders")
    pools.update_user_pool_client(
        UserPoolId=pool,
        ClientId=document["client_id"],
        CallbackURLs=[f"{base}/v1/auth/callback"],
        **{name: client[name] for name in kept},
    )
    password = f"{secrets.token_urlsafe(12)}-aA1"
    verified = [{"Name": "email", "Value": EMAIL}, {"Name": "email_verified", "Value": "true"}]
    pools.admin_create_user(UserPoolId=pool, Username=EMAIL, UserAttributes=verified, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=pool, Username=EMAIL, Password=password, Permanent=True)
    return {"username": EMAIL, "password": password}


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Cookies, forms and redirects; stops where a program would listen."""

    def __init__(self):
        self.opener = urllib.request.build_opener(NoRedirects)
        self.cookies = {}

    def travel(self, url, form=None):
        """Where it was led to, and what it was shown there."""
        for _ in range(10):
            if url.startswith(REDIRECT_URI):
                return url, ""
            status, headers, text = self.ask(url, form)
            if status not in (302, 303):
                if status != 200:
                    raise SmokeError(f"{url}: {status}: {text[:500]}")
                return url, text
            url, form = urllib.parse.urljoin(url, headers["Location"]), None
        raise SmokeError(f"led around in circles, at last to {url}")

    def submit(self, url, page, **more):
        """Sends the form of a page."""
        tags = re.findall(r"<input [^>]*>", page)
        sent = [tag for tag in tags if 'type="hidden"' in tag or " checked" in tag]
        form = {_attribute(tag, "name"): _attribute(tag, "value") for tag in sent}
        action = _attribute(re.search(r"<form [^>]*>", page)[0], "action")
        return self.travel(urllib.parse.urljoin(url, action), form | more)

    def ask(self, url, form=None):
        """Status, headers and text."""
        host = urllib.parse.urlsplit(url).netloc
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.get(host, {}).items())
        body = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(url, data=body, headers={"Cookie": cookies} if cookies else {})
        try:
            answer = self.opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies.setdefault(host, {})[name] = value
            return answer.status, answer.headers, answer.read().decode()


def _attribute(tag, name):
    return html.unescape(re.search(rf' {name}="([^"]*)"', tag)[1])


def post(base, endpoint, **form):
    """What an OAuth endpoint answers: status and JSON."""
    status, _, text = Browser().ask(f"{base}/v1/auth/{endpoint}", CLIENT | form)
    return status, json.loads(text or "{}")


def with_device(base, account):
    """A device whose code is entered wrongly, then rightly; the key that it gets."""
    _, device = post(base, "device")
    browser = Browser()
    browser.travel(device["verification_uri_complete"])
    login, page = browser.travel(f"{base}/v1/auth/authorize?user_code=BBBB-BBBB")
    at, page = browser.submit(login, page, **account)
    at, page = browser.submit(at, page, decision="code", user_code=device["user_code"])
    _, page = browser.submit(at, page, decision="approve")
    if "Your device is signed in" not in page:
        raise SmokeError(f"the device was not approved: {page[:2000]}")
    status, told = post(base, "token", grant_type=DEVICE_GRANT, device_code=device["device_code"])
    if status != 200:
        raise SmokeError(f"the device got {told}")
    return told


def with_browser(base, account):
    """A program that listens; the key that it gets."""
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    values = {"response_type": "code", "redirect_uri": REDIRECT_URI, "state": "s", "code_challenge": challenge}
    query = urllib.parse.urlencode(CLIENT | values | {"code_challenge_method": "S256"})
    browser = Browser()
    at, page = browser.submit(*browser.travel(f"{base}/v1/auth/authorize?{query}"), **account)
    back, _ = browser.submit(at, page, decision="approve")
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    status, told = post(base, "token", code_verifier=verifier, **grant)
    if status != 200:
        raise SmokeError(f"the program got {told}")
    return told
