"""``python -m benchmarks`` is ``python -m benchmarks.throughput``."""

import sys

from benchmarks.throughput import main

sys.exit(main())
