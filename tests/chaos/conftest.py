from tests.compute.runners.conftest import far_account, far_folder, own_sshd

__all__ = ["far_account", "far_folder", "own_sshd"]
