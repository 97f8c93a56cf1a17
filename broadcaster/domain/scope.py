"""How much of the dependency matrix somebody is told, and in which language: users or operators, all of it or a part
that they asked for."""

from __future__ import annotations

import msgspec

from broadcaster.domain.model import Catalogue


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told, and of what. ``internal``: an operator, who is told of every service, and why it is as it is.

    ``services`` and ``features`` are the names that were asked for; with neither it is everything. ``locale`` is the
    language that was asked for, in its canonical form ('': none). Equal scopes are told the same, to the byte; so are
    those whose ``settled`` ones are equal.
    """

    internal: bool = False
    services: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    locale: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything was asked for that may be told."""
        return not (self.services or self.features)

    @property
    def whole(self) -> Scope:
        """Everything that the same people may be told, in their language."""
        return Scope(internal=self.internal, locale=self.locale)

    def settled(self, catalogue: Catalogue) -> Scope:
        """The same with the language that there are words in: whoever reads the same words has the same scope, and a
        language without words is that of everybody."""
        if not self.locale:
            return self
        language = self._part(catalogue).language_for(self.locale)
        return msgspec.structs.replace(self, locale="" if language == language.plain else language.tags[0])

    def narrow(self, catalogue: Catalogue) -> Catalogue:
        """What of ``catalogue`` is told in this scope, in its language.

        The services that were asked for, and the features, with all services that these stand on over whatever chain:
        nothing that is told changes because of something that is not. A service that stands on one that is left out is
        told of as if it stood on its own.
        """
        part = self._part(catalogue)
        return part.told_in(part.language_for(self.locale)) if self.locale else part

    def _part(self, catalogue: Catalogue) -> Catalogue:
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
        return msgspec.structs.replace(catalogue, services=told, features=features)

    def missing(self, catalogue: Catalogue) -> tuple[str, ...]:
        """The names that were asked for and that are not told of: ``catalogue`` does not have them, or they are not
        announced."""
        known = self.whole._part(catalogue)
        services = sorted(name for name in self.services if not known.is_announced(name))
        return (*services, *sorted(name for name in self.features if name not in known.features))
