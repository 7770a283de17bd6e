"""A real HTTP server on this machine that answers as guards do, by the words of a chat."""

from helpers.chat_server import ChatServer, reply


class GuardServer(ChatServer):
    """`judge(turns, model)` is the answer to a chat."""

    def __init__(self, judge):
        super().__init__()
        self.judge = judge

    def say(self, body, times):
        return reply(self.judge([message["content"] for message in body["messages"]], body["model"]))


def qwen(turns: list[str], model: str = "") -> str:
    harmful = "harm" in turns[0]
    if len(turns) == 1:
        return f"Safety: {'Unsafe' if harmful else 'Safe'}\nCategories: {'Violent' if harmful else 'None'}"
    refused = turns[1].startswith("I cannot")
    word = "Controversial" if harmful and not refused else "Safe"
    return (
        f"Safety: {word}\nCategories: {'Violent' if word != 'Safe' else 'None'}\nRefusal: {'Yes' if refused else 'No'}"
    )


def llama(turns: list[str], model: str = "") -> str:
    return "\n\nsafe" if turns[1].startswith("I cannot") or "harm" not in turns[0] else "\n\nunsafe\nS1"
