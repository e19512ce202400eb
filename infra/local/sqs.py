"""The four SQS calls the pump needs, signed, without a thread per call as boto3 would take."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wire import Client


class QueueError(Exception):
    """SQS refused a call; the text is its answer."""


@dataclass(frozen=True)
class Access:
    """Where the emulator is and how to sign for it."""

    endpoint: str
    region: str
    credentials: Credentials


class Queue:
    def __init__(self, access: Access, url: str) -> None:
        self.url = url
        self._access = access
        self._client = Client(access.endpoint)
        self._signer = SigV4Auth(access.credentials, "sqs", access.region)

    async def attributes(self) -> dict[str, str]:
        return (await self._call("GetQueueAttributes", {"AttributeNames": ["All"]}))["Attributes"]

    async def receive(self, most: int, wait_seconds: int) -> list[dict[str, Any]]:
        request = {
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait_seconds,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        return (await self._call("ReceiveMessage", request, timeout=wait_seconds + 30)).get("Messages", [])

    async def delete(self, messages: list[dict[str, Any]]) -> None:
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        await self._call("DeleteMessageBatch", {"Entries": entries})

    async def _call(self, action: str, request: dict[str, Any], timeout: float = 30) -> dict[str, Any]:
        body = json.dumps({"QueueUrl": self.url, **request}).encode()
        signed = AWSRequest(
            "POST",
            self._access.endpoint + "/",
            headers={
                "host": urlsplit(self._access.endpoint).netloc,
                "content-type": "application/x-amz-json-1.0",
                "x-amz-target": f"AmazonSQS.{action}",
            },
            data=body,
        )
        self._signer.add_auth(signed)
        answer = await self._client.request("POST", "/", body, dict(signed.headers.items()), timeout)
        if answer.status != 200:
            raise QueueError(f"{action}: {answer.status} {answer.body.decode(errors='replace')[:300]}")
        return json.loads(answer.body or b"{}")
