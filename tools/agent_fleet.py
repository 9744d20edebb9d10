"""The agents as the tools see them: one protocol, which the fleet's own objects are wrapped in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from agents.fleet.lifecycle import Action, AgentState
from tools.agent_results import AgentView, ProposedOrder, SettingValue


@dataclass(frozen=True, slots=True)
class SettingChange:
    """What a setting would become.

    Attributes:
        raises_risk: Whether it lets the agent dare more.
    """

    before: SettingValue
    after: SettingValue
    raises_risk: bool


class AgentFleet(Protocol):
    """The agents as these tools see them."""

    @property
    def venue(self) -> str:
        """Return the name of the venue that they trade on."""
        ...

    @property
    def currency(self) -> str:
        """Return the account's currency."""
        ...

    @property
    def is_simulated(self) -> bool:
        """Return whether its prices are invented."""
        ...

    def now(self) -> datetime:
        """Return the market's present."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return all agents."""
        ...

    async def view(self, agent: str, period: str | None) -> AgentView:
        """Return an agent as it stands; its mandate is left out.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        ...

    async def state(self, agent: str) -> tuple[AgentState, str]:
        """Return an agent's state and the code of its reason."""
        ...

    async def budget(self, agent: str) -> tuple[Decimal, Decimal | None, Decimal]:
        """Return an agent's equity, what it should be given at a start (None: it has its money), and the owner's cash.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        ...

    async def spare(self, agent: str) -> Decimal:
        """Return what an agent can give back of its money and stand as it stands.

        Raises:
            DataUnavailable, VenueUnavailable: That cannot be known now.
        """
        ...

    def has_fund(self, agent: str) -> bool:
        """Tell whether an agent's money belongs to investors, so that only its fund's orders may move it."""
        ...

    async def give(self, agent: str, amount: Decimal, *, source: str) -> None:
        """Move cash from the owner's book to an agent's, once for a source.

        Raises:
            InvalidRequest: There is not so much.
        """
        ...

    async def is_given(self, source: str) -> bool:
        """Tell whether money of a source was moved."""
        ...

    async def take_back(self, agent: str, amount: Decimal, *, by: str) -> None:
        """Move cash from an agent's book to the owner's.

        Raises:
            InvalidRequest: It cannot spare so much.
        """
        ...

    async def limits(self, agent: str) -> tuple[Decimal, int, Decimal]:
        """Return position size and largest drawdown in percent, with the number of positions between them."""
        ...

    async def pairs(self, agent: str) -> tuple[str, ...]:
        """Return what an agent trades at present."""
        ...

    async def act(
        self, agent: str, action: Action, *, by: str, source: str = "", budget: Decimal | None = None
    ) -> None:
        """Do something to an agent; `budget` moves from the owner's book to its own, once for a source.

        Raises:
            InvalidRequest: It does not apply.
        """
        ...

    async def judge(self, agent: str, setting: str, value: Decimal | tuple[str, ...]) -> SettingChange:
        """Return what a setting would become.

        Raises:
            InvalidRequest: The value cannot be used.
        """
        ...

    async def configure(
        self, agent: str, setting: str, value: Decimal | tuple[str, ...], *, by: str, source: str = ""
    ) -> None:
        """Change a setting.

        Raises:
            InvalidRequest: The value cannot be used.
        """
        ...

    async def asked_orders(self) -> tuple[ProposedOrder, ...]:
        """Return the orders of agents that wait for their owner."""
        ...

    async def is_asked(self, source: str) -> bool:
        """Return whether an order of an agent still waits for its owner."""
        ...

    async def confirm_order(self, source: str, *, by: str) -> None:
        """Let an agent send the order that it asked for.

        Raises:
            InvalidRequest: It does not wait any more.
        """
        ...

    async def decline_order(self, source: str, *, by: str) -> None:
        """Let an agent give up an order that it asked for; harmless when it does not wait any more."""
        ...
