"""The standings of all targets of a table, and what goes on when the table is replaced.

The rule: whoever makes a plan looks at `troubled` first, because most of the time it is empty. The surprise: targets
share what they share in life: those with one key share its state, and those of one provider the way to it.
"""

from collections.abc import Hashable, Iterator, Mapping

from fastroute.facts import Attempt
from fastroute.health.account import Account
from fastroute.health.breaker import Breaker, Dice
from fastroute.health.standing import News, Standing
from fastroute.table import Key, Provider, Table, Target


class Health:
    """One standing per target, at the target's place in the table."""

    def __init__(self, table: Table, old: "Health | None" = None) -> None:
        """`old` is the health of the table before: what stays the same keeps what is known of it."""
        self.troubled: set[int] = set()
        """Targets that are not in full service."""
        self._accounts: dict[Hashable, Account] = {} if old is None else dict(old._accounts)
        self._ways: dict[Hashable, Breaker] = {} if old is None else dict(old._ways)
        self._known: dict[Hashable, Standing] = {}
        self._sharing: dict[Account | Breaker, list[int]] = {}
        """Targets of each key and of each way."""
        self.standings = tuple(self._standing(target, {} if old is None else old._known) for target in table.targets)
        self._forget_strangers(table)
        self.look_again()

    def __getitem__(self, index: int) -> Standing:
        return self.standings[index]

    def __len__(self) -> int:
        return len(self.standings)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self.standings)

    def observe(self, attempt: Attempt, sent_s: float, now_s: float, dice: Dice) -> News | None:
        """Takes one attempt into account. What it says of a key or a way concerns all targets that share it."""
        standing = self.standings[attempt.target]
        news = standing.observe(attempt, sent_s, now_s, dice)
        if news is not None:
            self.troubled.add(standing.index)
            if standing.account is not None and standing.account.rest.open:
                self.troubled.update(self._sharing[standing.account])
            if standing.way.rest.open:
                self.troubled.update(self._sharing[standing.way])
        return news

    def look_again(self) -> None:
        """Something may have begun to rest in the health of the table before this one."""
        self.troubled.update(standing.index for standing in self.standings if standing.rested())

    def _standing(self, target: Target, before: Mapping[Hashable, Standing]) -> Standing:
        provider, key = target.provider, target.key
        account = None
        if key is not None:
            account = self._accounts.setdefault(_secret(provider, key), Account(provider.name, key.name))
            # It may stand at another place now.
            account.key = key.name
        way = self._ways.setdefault(_place(provider), Breaker())
        for shared in (account, way):
            if shared is not None:
                self._sharing.setdefault(shared, []).append(target.index)
        standing = Standing(target, account, way, self.troubled)
        itself = _place(provider), target.model, None if key is None else _secret(provider, key)
        self._known[itself] = standing
        if itself in before:
            standing.take_over(before[itself])
        return standing

    def _forget_strangers(self, table: Table) -> None:
        """Drops what only the table before had."""
        places = {_place(provider) for provider in table.providers.values()}
        secrets = {_secret(provider, key) for provider in table.providers.values() for key in provider.keys}
        self._ways = {place: way for place, way in self._ways.items() if place in places}
        self._accounts = {secret: account for secret, account in self._accounts.items() if secret in secrets}


def carry_over(old: Health, table: Table) -> Health:
    """The health of the table that replaces the one `old` is about.

    States are shared where target, key or provider stay the same, so what exchanges of the old table still tell to
    `old` counts for both (`look_again`). Only what is in flight begins at zero: those exchanges are the old table's.
    """
    return Health(table, old)


def _place(provider: Provider) -> Hashable:
    return provider.name, provider.address


def _secret(provider: Provider, key: Key) -> Hashable:
    return _place(provider), key.header, key.value
