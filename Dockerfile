# One image for web and worker. Python 3.12 because Aider, whose environment is made from it, takes none later.
FROM python:3.12-slim-bookworm

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git ripgrep bubblewrap libgomp1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/dispatcher
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY adapters adapters
COPY dispatcher dispatcher
COPY workers workers
COPY web web
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .
COPY package.json package-lock.json ./
RUN python -c 'from dispatcher.harness_install import npm_command; import os; c = npm_command(); os.execv(c[0], [*c, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"])' \
 && rm -rf /root/.npm

# Any user may write here: the containers run as the owner of the repositories, whoever that is.
RUN install -d -m 1777 /data
ENV HOME=/data DISPATCHER_HOME=/data PYTHONUNBUFFERED=1
VOLUME /data
ENTRYPOINT ["dispatcher"]
CMD ["--help"]
