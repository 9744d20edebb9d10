# The copilot and nothing else; Redis, MySQL and Ollama are services of their own (docker-compose.yml).
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 copilot && install -d -o copilot /app /data
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE chainlit.md chainlit_es.md ./
COPY copilot copilot
COPY tools tools
COPY engine engine
COPY agents agents
COPY prompts prompts
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .

USER copilot
ENV COPILOT_DATA_DIR=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["trading-copilot"]
CMD ["run"]
