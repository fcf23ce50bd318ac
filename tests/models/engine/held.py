"""What a cache holds."""


def held_bytes(cache):
    """The bytes of all keys and values, buffers' unfilled part included; what is shared is once."""
    storages = {}
    for group in cache.groups:
        prompts = group.prompts
        for states in (*prompts.keys, *prompts.values, *group.keys, *group.values):
            if states is not None:
                storages[states.untyped_storage().data_ptr()] = states.untyped_storage().nbytes()
    return sum(storages.values())
