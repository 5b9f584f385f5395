"""The step's config arrives as JSON text, its output is JSON text."""

import json

import wit_world
from componentize_py_types import Err


class WitWorld(wit_world.WitWorld):
    def run(self, input: str) -> str:
        config = json.loads(input)
        if not config.get("name"):
            raise Err("`name` is missing")
        return json.dumps({"greeting": f"Hello, {config['name']}!"})
