"""`coaching completion`: what a shell must know to complete `coaching`."""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from ops.errors import Exit

# cyclopts writes a function for zsh to find on its path under that name; a script that is read has to register it.
_REGISTERED: Final = {"zsh": "compdef _cyclopts_coaching coaching\n"}


def app_for(coaching: App) -> App:
    """`coaching` is the command line that is completed."""
    app = App(
        "completion",
        help="Print the script by which a shell completes commands, options and choices at the Tab key.\n\n"
        "Read it where the shell starts. bash and zsh, there after compinit: source <(coaching completion bash). "
        "fish: coaching completion fish | source",
        help_epilogue="Example: coaching completion bash",
    )

    @app.default
    def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Which shell.")], /) -> int:
        print(coaching.generate_completion(shell=shell) + _REGISTERED.get(shell, ""))
        return Exit.DONE

    return app
