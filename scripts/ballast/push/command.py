"""The command `ballast push`: show what leaves, and upload it."""

import sys

from ballast.push import hub, parts


def run(given: str, repo: str, consent: parts.Consent, public: bool = False, dry_run: bool = False) -> None:
    """Print the files of a push and upload them; with `dry_run` ask no hub and upload nothing."""
    hub.check_name(repo)
    push = parts.plan(given, repo, consent)
    print("\n".join(listing(push, repo, public)))
    if dry_run:
        print("dry run: nothing was uploaded")
        return
    sys.stdout.flush()
    done = hub.upload(push, repo, public)
    if public and done.private:
        print(f"{repo} was private already and stays so; its page can change that", file=sys.stderr)
    there = f", {done.replaced} of them in place of older ones; {done.others} others stay"
    print(f"{len(push.files)} files uploaded in one commit{there if done.replaced or done.others else ''}")
    print(f"{done.url} ({'private' if done.private else 'public'})")


def listing(push: parts.Push, repo: str, public: bool) -> list[str]:
    """Return the lines that show each file, its bytes, and the files that stay here, by reason."""
    wide = max(len(file.name) for file in push.files)
    lines = [
        f"{push.what}",
        f"to {push.kind} {repo}, {'public' if public else 'private'} if it is new; licence {push.licence}",
    ]
    lines += [f"  {file.name:{wide}}  {file.size:>13,} bytes  {file.remark}".rstrip() for file in push.files]
    lines.append(f"{len(push.files)} files, {push.size:,} bytes")
    left = push.left_out.total()
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(push.left_out.items()))
    said = f"the folder holds {push.found} files: {push.found - left} pushed, {left} left out"
    return [*lines, f"{said} ({reasons})" if left else said]
