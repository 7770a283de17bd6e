"""Upload a push to the Hugging Face hub in one commit; turn each refusal of the hub into one line."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ballast.files import BallastError
from ballast.push.parts import Push

LOGIN = "set HF_TOKEN, or run `hf auth login`"


@dataclass(frozen=True)
class Uploaded:
    """The state after the commit: address, visibility, how many older files it replaced, and how many others stay."""

    url: str
    private: bool
    replaced: int
    others: int


def check_name(repo: str) -> None:
    """Raise BallastError if the hub cannot have a repository of this name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if repo.count("/") != 1:
        raise BallastError("--to: give the repository as owner/name, in letters, digits, '-', '_' and '.'")


def upload(push: Push, repo: str, public: bool) -> Uploaded:
    """Create the repository if the hub has none of this name, and commit every file at once.

    A new repository is private unless `public`. Raises BallastError, before any file leaves, if there is no token, if
    the hub refuses it, or if the repository is public and `public` is not asked for.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    if not get_token():
        raise BallastError(f"the hub needs a token that may write: {LOGIN}")
    api, kind = HfApi(), push.kind
    with _asking(repo):
        api.whoami()
        try:
            found = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError:
            found = None
    if found and not found.private and not public:
        raise BallastError(
            f"{repo} is a public {kind} already: add --public if all may read these files, or name another --to"
        )
    with _asking(repo), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operations = [CommitOperationAdd(file.name, file.content) for file in push.files]
        for file, operation in zip(push.files, operations, strict=True):
            # The library sends these digests, so that the hub refuses other bytes.
            if operation.upload_info.sha256.hex() != file.sha256:
                raise BallastError(f"{file.content}: changed while it was pushed; nothing was uploaded, run again")
        if not found:
            api.create_repo(repo, repo_type=kind, private=not public)
            if not public and not api.repo_info(repo, repo_type=kind).private:
                raise BallastError(
                    f"{repo}: the hub made it public, though private was asked for; nothing was uploaded"
                )
        commit = api.create_commit(repo, operations, commit_message=f"Push {push.what} by Ballast", repo_type=kind)
        now = api.repo_info(repo, repo_type=kind, revision=commit.oid)
    before = {sibling.rfilename for sibling in found.siblings or ()} if found else set()
    names, there = {file.name for file in push.files}, {sibling.rfilename for sibling in now.siblings or ()}
    if lacking := sorted(names - there):
        raise BallastError(f"{repo}: the hub left out {', '.join(lacking)}; look into the .gitignore of the repository")
    home = "" if kind == "model" else "datasets/"
    # The repository's own ones, which no push has.
    others = before - names - {".gitattributes"}
    return Uploaded(f"{api.endpoint}/{home}{repo}", bool(now.private), len(before & names), len(others))


@contextmanager
def _asking(repo: str) -> Iterator[None]:
    """Turn an error of the hub or of the network into one line."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except BallastError:
        raise
    except OfflineModeIsEnabled:
        raise BallastError("HF_HUB_OFFLINE is set, so that nothing can be pushed; unset it") from None
    except HfHubHTTPError as error:
        raise BallastError(_refusal(repo, error)) from None
    except Exception as error:  # of the HTTP client, or what the hub's library makes of an upload that failed
        cause = error.__cause__ or error
        if isinstance(cause, HfHubHTTPError):
            raise BallastError(_refusal(repo, cause)) from None
        said = f"{type(cause).__name__}: {_line(str(cause))}"
        advice = "run again: a push is one commit, whole or absent"
        raise BallastError(f"{repo}: the push failed ({said:.300}); {advice}") from None


def _refusal(repo: str, error) -> str:
    status = getattr(error.response, "status_code", None)
    if status == 401:
        return f"the hub does not accept the token (401); {LOGIN}"
    if status == 403:
        return f"{repo}: the token may not write there (403); take one with write access, or name another --to"
    said = _line(error.server_message or "")
    why = f" ({said:.300})" if said else ""
    return f"{repo}: the hub answers {status}{why}; no file of the push is in the repository"


def _line(text: str) -> str:
    return " ".join(text.split())
