{% macro personal_tables() %}
    {#-
        The tables that hold users, found from the keys of their columns in the project (`key: user`
        and `key: address`), in all of the project's datasets: models, snapshots, sources, the
        batches that a build has left, and stored failures of tests. Tables that are
        none of the project's are returned as `others`.
    -#}
    {%- set found = {'users': [], 'addresses': [], 'failures': [], 'others': []} -%}
    {%- set nodes, failures, schemas = {}, [], {} -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list -%}
        {%- if node.resource_type == 'test' -%}
            {%- do failures.append(node.schema ~ '.' ~ node.alias) -%}
        {%- elif node.resource_type in ['model', 'snapshot', 'seed', 'source'] -%}
            {%- do nodes.update({node.schema ~ '.' ~ (node.alias or node.identifier): node}) -%}
            {%- do schemas.update({node.schema: node.database}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for schema, database in schemas.items() -%}
        {%- set dataset = api.Relation.create(database=database, schema=schema) -%}
        {%- for relation in dbt.list_relations_without_caching(dataset) if relation.type == 'table' -%}
            {%- set name = schema ~ '.' ~ relation.identifier -%}
            {%- set node = nodes.get(name.split('__dbt_tmp')[0]) -%}
            {%- set table = {'name': name, 'relation': relation | string, 'is_dated': false} -%}
            {%- if node -%}
                {%- do table.update(node_keys(node)) -%}
                {%- do table.update({'columns': node.columns | list}) -%}
                {%- do table.update({'is_dated': 'loaded_at' in node.columns}) -%}
            {%- endif -%}
            {%- set kind = 'failures' if name in failures else 'users' if table.user
                else 'addresses' if table.address else none if node else 'others' -%}
            {%- if kind -%}
                {%- do found[kind].append(table) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do found.update({'schemas': schemas | list}) -%}
    {{ return(found) }}
{% endmacro %}

{% macro node_keys(node) %}
    {#- The expressions for the keys of a model, snapshot or source table, by their kind. -#}
    {%- set keys = {} -%}
    {%- for column in node.columns.values() if column.config.meta.key -%}
        {%- do keys.update({column.config.meta.key: column.config.meta.expression or column.name}) -%}
    {%- endfor -%}
    {{ return(keys) }}
{% endmacro %}
