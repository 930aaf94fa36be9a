# One image, all roles: `docker run sluice start gateway`. glibc, because the embedded ClickHouse has no musl build.
FROM node:26-bookworm-slim AS install
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The package `node` pins the Node of npm scripts; the image already is that Node.
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-bookworm-slim
RUN mkdir /data && chown node:node /data
WORKDIR /app
COPY --from=install /app/node_modules ./node_modules
COPY package.json ./
COPY schemas ./schemas
COPY services ./services
ENV NODE_ENV=production SLUICE_DATA_DIR=/data SLUICE_HOST=0.0.0.0
USER node
VOLUME /data
EXPOSE 7070 7071
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+(process.env.SLUICE_PORT||7070)+'/ready').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "services/main.ts"]
CMD ["start"]
