# docker build -t cuewise .        runs `cuewise serve` as a user without rights; needs settings with keys (docs/serving.md)
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py constraints.txt README.md LICENSE NOTICE ./
COPY cuewise cuewise
COPY mllm mllm
COPY data_recipes data_recipes
COPY train train
COPY eval eval
COPY serve serve
RUN python -m venv /opt/cuewise \
 && /opt/cuewise/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

FROM python:3.12-slim
COPY --from=build /opt/cuewise /opt/cuewise
RUN useradd --create-home --uid 10001 cuewise
USER cuewise
WORKDIR /home/cuewise
ENV PATH=/opt/cuewise/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=60s CMD \
  python -c "import urllib.request as u; u.urlopen('http://localhost:8000/readyz', timeout=5)"
ENTRYPOINT ["cuewise", "serve", "--host", "0.0.0.0"]
