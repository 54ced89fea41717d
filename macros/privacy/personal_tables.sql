{% macro personal_tables(types=['table']) %}
    {#-
        The tables that hold users, in all of the project's datasets: models, snapshots, sources,
        batches that a build has left, and stored failures of tests. They are found by the meta
        `key` of their columns: `user` or `address`; the expression for the key is returned under
        that name, and the one in the meta `email` as `email`. `columns` has the class and the
        description of each column. Tables that are none of the project's are returned as `others`.
    -#}
    {%- set found = {'users': [], 'addresses': [], 'failures': [], 'others': []} -%}
    {%- set nodes, schemas, built = {}, {}, [] -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list -%}
        {%- do nodes.update({node.schema ~ '.' ~ (node.alias or node.identifier): node}) -%}
        {%- do schemas.update({node.schema: node.database}) -%}
    {%- endfor -%}
    {%- for schema, database in schemas.items() -%}
        {%- set dataset = api.Relation.create(database=database, schema=schema) -%}
        {%- for relation in dbt.list_relations_without_caching(dataset) if relation.type in types -%}
            {%- set name = schema ~ '.' ~ relation.identifier -%}
            {%- do built.append(relation | string) -%}
            {%- set node = nodes.get(name.split('__dbt_tmp')[0]) -%}
            {%- set columns = node.columns if node else {} -%}
            {%- set table = {'name': name, 'relation': relation | string, 'columns': {},
                'is_dated': 'loaded_at' in columns} -%}
            {%- for column in columns.values() -%}
                {%- set meta = column.config.meta -%}
                {%- do table.columns.update(
                    {column.name: {'class': meta.class, 'description': column.description}}) -%}
                {%- do table.update({meta.key: meta.expression or column.name}) if meta.key -%}
                {%- do table.update({'email': meta.email}) if meta.email -%}
            {%- endfor -%}
            {%- set kind = 'failures' if node.resource_type == 'test' else 'users' if table.user
                else 'addresses' if table.address else none if node else 'others' -%}
            {%- if kind -%}
                {%- do found[kind].append(table) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for model in ['base_randomuser__users', 'loads', 'users'] if relation_of(model) not in built -%}
        {{ exceptions.raise_compiler_error(
            "there is no " ~ relation_of(model) ~ ": run `dbt build` first; nothing was done"
        ) }}
    {%- endfor -%}
    {{ return(dict(found, schemas=schemas | list)) }}
{% endmacro %}
