# An image of a user's own: Ray, torch, and nothing of ours.
ARG WORKLOAD
FROM ${WORKLOAD}
USER root
RUN rm -rf ${VIRTUAL_ENV}/lib/python3.11/site-packages/tradewind ${VIRTUAL_ENV}/lib/python3.11/site-packages/tradewind_workload \
 && ! python -c "import tradewind_workload" 2> /dev/null
USER 10001
