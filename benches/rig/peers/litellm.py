"""LiteLLM's proxy: `pip install 'litellm[proxy]'` in an environment whose `bin` is on the path."""

import json
from pathlib import Path

from benches.rig.peers.recipe import Recipe


def command(folder: Path, mock: int, port: int) -> list[str]:
    """One worker, no database, no keys, no call logs."""
    target = {"model": "openai/mock-small", "api_base": f"http://127.0.0.1:{mock}/v1", "api_key": "unused"}
    config = {
        "model_list": [{"model_name": "one", "litellm_params": target}],
        "litellm_settings": {"num_retries": 0, "turn_off_message_logging": True, "set_verbose": False},
        # It refuses to start without keys; on loopback that is what is measured.
        "general_settings": {"disable_spend_logs": True, "dangerously_permit_weak_or_unset_master_key": True},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(config))
    arguments = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return ["litellm", *arguments, "--telemetry", "False"]


LITELLM = Recipe("litellm", "one worker; no database, keys or logs", command, lambda _mock: [])
