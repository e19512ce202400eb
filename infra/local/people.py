"""Somebody to sign in as: an account at the emulator's user pool, and a member of a workspace."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import functions
import resources

EMAIL = "demo@persona.example"


@dataclass(frozen=True)
class Person:
    email: str
    password: str


async def create(env: Mapping[str, str], workspace: str) -> Person:
    """The person, who may do everything in the workspace."""
    person = Person(EMAIL, f"{secrets.token_urlsafe(12)}-aA1")
    await asyncio.to_thread(_open_account, env, person)
    members = [{"email": person.email, "scopes": ["admin"]}]
    port = urlsplit(env["PERSONA_LAMBDA_URL"]).port or 80
    await functions.invoke("admin-members", {"workspace_id": workspace, "set": members}, env, port)
    return person


def _open_account(env: Mapping[str, str], person: Person) -> None:
    pool = resources.client("cognito-idp", env)
    account = {"UserPoolId": env["SIGN_IN_POOL_ID"], "Username": person.email}
    verified = [{"Name": "email", "Value": person.email}, {"Name": "email_verified", "Value": "true"}]
    pool.admin_create_user(**account, UserAttributes=verified, MessageAction="SUPPRESS")
    pool.admin_set_user_password(**account, Password=person.password, Permanent=True)
