"""How much of the dependency matrix somebody is told: users or operators, all of it or a part that they asked for."""

from __future__ import annotations

import msgspec

from broadcaster.domain.model import Catalogue


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told, and of what. ``internal``: an operator, who is told of every service, and why it is as it is.

    ``services`` and ``features`` are the names that were asked for; with neither it is everything. Equal scopes are
    told the same, to the byte.
    """

    internal: bool = False
    services: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether everything was asked for that may be told."""
        return not (self.services or self.features)

    @property
    def whole(self) -> Scope:
        """Everything that the same people may be told."""
        return Scope(internal=self.internal)

    def narrow(self, catalogue: Catalogue) -> Catalogue:
        """What of ``catalogue`` is told in this scope.

        The services that were asked for, and the features, with all services that these stand on over whatever chain:
        nothing that is told changes because of something that is not. A service that stands on one that is left out is
        told of as if it stood on its own.
        """
        if self.internal and not catalogue.degradation:
            catalogue = msgspec.structs.replace(catalogue, degradation=True)
        if self.is_whole:
            return catalogue
        features = {name: each for name, each in catalogue.features.items() if name in self.features}
        services = self.services.union(*(catalogue.stands_on[name] for name in features))
        told = {
            name: msgspec.structs.replace(each, depends_on=tuple(on for on in each.depends_on if on in services))
            for name, each in catalogue.services.items()
            if name in services
        }
        return Catalogue(services=told, features=features, degradation=catalogue.degradation)

    def missing(self, catalogue: Catalogue) -> tuple[str, ...]:
        """The names that were asked for and that are not told of: ``catalogue`` does not have them, or they are not
        announced."""
        known = self.whole.narrow(catalogue)
        services = sorted(name for name in self.services if not known.is_announced(name))
        return (*services, *sorted(name for name in self.features if name not in known.features))
